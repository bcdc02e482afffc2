#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Runs the SIE host: run.sh QEMU [SIE-HOST]. Prints KTAP; fails unless all
# tests passed.
set -euo pipefail
qemu=${1:?usage: run.sh QEMU [SIE-HOST]}
here=$(cd "$(dirname "$0")" && pwd)
image=${2:-$here/../../target/s390x-unknown-none-softfloat/release/sie-host}

ktap=$(timeout 60 "$qemu" -L /usr/share/qemu -nodefaults -display none \
    -machine s390-ccw-virtio -accel tcg -cpu max,sief2=on -m 128M -smp 2 \
    -chardev stdio,id=c -device sclpconsole,chardev=c -kernel "$image")
printf '%s\n' "$ktap"
plan=$(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' <<< "$ktap")
passed=$(grep -c '^ok ' <<< "$ktap" || true)
[ -n "$plan" ] && [ "$passed" -eq "$plan" ]
