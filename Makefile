# SPDX-License-Identifier: MIT OR Apache-2.0
# The front door; every target that is meant to be called has a line of help.
SHELL := /bin/bash
.DEFAULT_GOAL := help
STEPS := scripts/steps.sh

SETUP := setup=scripts/setup.sh
# A QEMU of one's own needs no build of ours.
QEMU_STEPS := $(if $(QEMU),,fetch-qemu=scripts/fetch.sh\ qemu qemu=scripts/qemu.sh)
LINUX_STEPS := fetch-linux=scripts/fetch.sh\ linux
L1_STEPS := $(SETUP) $(QEMU_STEPS) $(LINUX_STEPS) kernel=scripts/kernel.sh\ release \
	s390x=scripts/s390x.sh initramfs=scripts/initramfs.sh\ release module=scripts/module.sh\ release tools=scripts/tools.sh

GUEST_STEPS := kernel-guest=scripts/kernel.sh\ guest guest=scripts/guest-initramfs.sh
ALL_STEPS := $(L1_STEPS) $(GUEST_STEPS)
DEBUG_STEPS := kernel-debug=scripts/kernel.sh\ debug initramfs-debug=scripts/initramfs.sh\ debug \
	module-debug=scripts/module.sh\ debug
# What a mainframe needs: its programs and guests, with the module for our kernel,
# or, built there, for the kernel that runs.
PROGRAM_STEPS := s390x=scripts/s390x.sh busybox=scripts/busybox.sh $(GUEST_STEPS)
DIST_STEPS := $(SETUP) $(LINUX_STEPS) kernel=scripts/kernel.sh\ release module=scripts/module.sh\ release \
	$(PROGRAM_STEPS) dist=scripts/dist.sh
HOST_STEPS := $(SETUP) $(LINUX_STEPS) kernel=scripts/running-kernel.sh module=scripts/module.sh\ running \
	$(PROGRAM_STEPS) dist=scripts/dist.sh\ running
# A host's kernel without Rust, on which run-guest has the C driver.
NORUST_STEPS := kernel-norust=scripts/norust-kernel.sh initramfs-norust=scripts/initramfs.sh\ norust
# Drivers with a defect, which a test must notice.
DEFECT_STEPS := module-silent=scripts/module.sh\ release\ vfio_ap_never_publishes \
	module-forgetful=scripts/module.sh\ release\ vfio_ap_tells_every_other_change
# What the nightly tests and the benchmarks run in Debian's s390x userland.
ROOT_STEP := "l1-root=scripts/l1-root.sh s390-tools mdevctl openssl kmod qemu-system-s390x linux-image-s390x"
# Debian's newest QEMU, which tells guests of changes of their AP configuration.
NEWEST_STEP := l1-root-sid=env\ SUITE=sid\ scripts/l1-root.sh\ qemu-system-s390x
# Debian's kernels with their modules, for guests of run-guest.
KERNELS_STEP := guest-kernels=scripts/guest-kernels.sh

.PHONY: help setup fetch qemu qemu-edit qemu-refresh qemu-bisect kernel kernel-debug kernel-guest module l1 l1-debug l1-debian l1-norust \
	l1-shell l1-run l1-root run-guest demo dist-s390x test check bench nightly kvm-selftests clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile

ifeq ($(shell uname -m),s390x)
RUN_GUEST := $(STEPS) $(HOST_STEPS) && target/dist/current/run-guest
else
RUN_GUEST := $(STEPS) $(ALL_STEPS) && target/debug/run-guest
endif
run-guest: ## the main job: scenarios (SCENARIO=file TOPOLOGY=file DRIVER=rust|c GUEST=probe|linux|kernel VERBOSE=1)
	@$(RUN_GUEST)

demo: ## plug and unplug by hand under a running guest, and watch (without a terminal: a story)
	@$(STEPS) $(ALL_STEPS)
	@target/debug/demo

dist-s390x: ## a tarball for mainframes, which need no compiler: run-guest on APQNS=05.0004,...
	@$(STEPS) $(DIST_STEPS)

test: ## everything that can be proven in minutes, with all set-up
	@$(STEPS) $(ALL_STEPS) dist=scripts/dist.sh $(DEBUG_STEPS) kernel-debian=scripts/debian-kernel.sh $(DEFECT_STEPS) check=scripts/check.sh
	@scripts/test.sh

check: ## format, lints, scripts, licences, documentation's folder map
	@scripts/check.sh

bench: ## measured figures, side by side, into target/bench.json
	@$(STEPS) $(ALL_STEPS) $(ROOT_STEP) $(NEWEST_STEP) qemu-stock=scripts/qemu.sh\ stock
	@target/debug/l1 bench-boot
	@target/debug/l1 bench-sie
	@target/debug/run-guest --bench 3
	@target/debug/bench-queues
	@target/debug/l1 bench-vmm
	@target/debug/l1 bench-driver
	@target/debug/bench-ap

nightly: ## test, and what needs more: all on the debug kernel, Debian's kernel and tools, KVM selftests
	@$(STEPS) $(ALL_STEPS) dist=scripts/dist.sh $(DEBUG_STEPS) $(DEFECT_STEPS) kernel-debian=scripts/debian-kernel.sh $(ROOT_STEP) $(NEWEST_STEP) \
	  $(KERNELS_STEP) $(NORUST_STEPS)
	@NIGHTLY=1 scripts/test.sh
	@scripts/loom.sh
	@scripts/mutants.sh
	@scripts/qemu-bisect.sh
	@scripts/kvm-selftests.sh run

kvm-selftests: ## the kernel's own KVM selftests, built from the pinned source, in L1
	@$(STEPS) $(L1_STEPS)
	@scripts/kvm-selftests.sh run

setup: ## install Debian packages, bindgen and meson
	@$(STEPS) $(SETUP)

fetch: setup ## fetch the pinned sources into the cache
	@$(STEPS) fetch-qemu=scripts/fetch.sh\ qemu $(LINUX_STEPS)

qemu: ## build target/qemu/qemu-system-s390x (FROM=edit: of the edit tree)
	@$(STEPS) $(SETUP) $(QEMU_STEPS)

qemu-edit: ## make target/qemu-edit, a git work tree of the patch series
	@$(STEPS) $(SETUP) fetch-qemu=scripts/fetch.sh\ qemu
	@scripts/qemu-tree.sh edit

qemu-refresh: ## write the commits of target/qemu-edit back to qemu-patches/
	@scripts/qemu-tree.sh refresh

qemu-bisect: ## build QEMU with each patch of the series in turn (FIRST=n LAST=n)
	@$(STEPS) $(SETUP) fetch-qemu=scripts/fetch.sh\ qemu
	@scripts/qemu-bisect.sh $(or $(FIRST),0) $(LAST)

kernel: ## build the L1 kernel (LINUX=/path/to/tree for one's own)
	@$(STEPS) $(SETUP) $(LINUX_STEPS) kernel=scripts/kernel.sh\ release

kernel-debug: ## build the L1 kernel with lockdep, KASAN, kmemleak and UBSAN
	@$(STEPS) $(SETUP) $(LINUX_STEPS) kernel-debug=scripts/kernel.sh\ debug

kernel-guest: ## build the small L2 kernel
	@$(STEPS) $(SETUP) $(LINUX_STEPS) kernel-guest=scripts/kernel.sh\ guest

module: ## build the Rust module of hostdrv/ for the L1 kernel
	@$(STEPS) $(SETUP) $(LINUX_STEPS) kernel=scripts/kernel.sh\ release module=scripts/module.sh\ release

l1: ## build everything that L1 needs
	@$(STEPS) $(L1_STEPS)

l1-debug: ## the same with the debug kernel
	@$(STEPS) $(L1_STEPS) $(DEBUG_STEPS)

l1-debian: ## the same with Debian's own kernel instead of ours
	@$(STEPS) $(L1_STEPS) kernel-debian=scripts/debian-kernel.sh

l1-norust: ## the same with a kernel that has no Rust
	@$(STEPS) $(L1_STEPS) $(NORUST_STEPS)

l1-shell: ## a shell in L1
	@./l1 shell

l1-run: ## run the script CMD_FILE=f in L1
	@./l1 run --script "$(CMD_FILE)"

l1-root: ## target/l1-root: a Debian s390x root for --root (PACKAGES="...")
	@$(STEPS) $(SETUP)
	@scripts/l1-root.sh $(PACKAGES)

clean: ## remove target/; the cache outside the tree stays
	rm -rf target
