#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# The main job, as far as it goes: boots L1 and loads vfio_ap.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
"$OUTPUT/debug/l1" run --driver rust -- sh -c 'uname -a; ls -l /dev/kvm; lsmod; dmesg | grep vfio-ap-rs'
say "The stack ran as far as it goes: L1 is up, KVM is there, our module is loaded."
say "Missing: AP cards in L1 and a guest under apvmm (docs/status.md)."
