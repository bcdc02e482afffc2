#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Runs the SIE host: run.sh QEMU [SIE-HOST [COMMAND-LINE]]. Prints KTAP; fails
# unless all tests passed. LIMIT is in seconds; ACCEL replaces `-accel tcg`. The
# machine has the adapters and domains that src/ap.rs wants.
set -euo pipefail
qemu=${1:?usage: run.sh QEMU [SIE-HOST [COMMAND-LINE]]}
here=$(cd "$(dirname "$0")" && pwd)
image=${2:-$here/../../target/s390x-unknown-none-softfloat/release/sie-host}

read -ra accel <<< "${ACCEL:--accel tcg}"
status=0
ktap=$(timeout "${LIMIT:-60}" "$qemu" -L /usr/share/qemu -nodefaults -display none \
    -machine s390-ccw-virtio "${accel[@]}" -m 128M -smp 2 \
    -cpu max,sief2=on,edat=on,ap=on,apqci=on,apft=on,apqi=on \
    -global ap-bridge.usage-domains=1,3,17,0x47 -device ap-cex,apid=2,mode=cca \
    -device ap-cex,apid=5,mode=accelerator -device ap-cex,apid=0x42,mode=ep11 \
    -chardev stdio,id=c -device sclpconsole,chardev=c -kernel "$image" -append "${3-}") || status=$?
printf '%s\n' "$ktap"
plan=$(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' <<< "$ktap")
passed=$(grep -c '^ok ' <<< "$ktap" || true)
[ "$status" -eq 0 ] && [ -n "$plan" ] && [ "$passed" -eq "$plan" ]
