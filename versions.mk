# SPDX-License-Identifier: MIT OR Apache-2.0
# Every outside source this tree builds from: one pinned version and the sha256
# of what is downloaded. Override a version on the make command line; a version
# without a hash below is verified by the signed package index alone, and the
# build says so.
QEMU_VERSION ?= 10.0.13
LINUX_VERSION ?= 7.2.13
BINDGEN_VERSION ?= 0.72.1
MESON_VERSION ?= 1.5.0
MUTANTS_VERSION ?= 27.1.0

# Debian's source tarball (upstream without binary blobs)
QEMU_SHA256_10.0.13 := 6a0888e806c2ffc0c5f0733e974f9aea55491950d3c47c98669c8b236dde59ae
LINUX_SHA256_7.2.13 := 30a8c5fc63f9028a62e6d7b3f7f43bee67425dbce2a05fceba83f9b87c92083d
