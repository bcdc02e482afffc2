#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# On a mainframe: links target/kernels/running to the folder that the running
# kernel was built in (KERNEL_BUILD, if it is not where modules_install has it),
# if modules in Rust can be built there; else there will be no module of ours.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"

BLD=${KERNEL_BUILD:-/lib/modules/$(uname -r)/build}
mkdir -p "$OUTPUT/kernels"
rm -f "$OUTPUT/kernels/running"
if grep -qsx CONFIG_RUST=y "$BLD/.config"; then
  ln -s "$(readlink -f "$BLD")" "$OUTPUT/kernels/running"
  say "up to date: the running kernel's folder, $BLD"
else
  say "up to date: no kernel with Rust in $BLD, so no module"
fi
