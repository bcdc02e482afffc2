#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Makes the Linux guest that run-guest boots: target/share/guest-kernel and
# guest-initramfs: the Linux probe as /init, busybox for other tests, and what
# bench-sie measures with.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"

BLD=$OUTPUT/kernels/guest
INIT=$OUTPUT/s390x/linux-probe
BUSYBOX=$TOOLS/busybox-s390x
WORKLOAD=$OUTPUT/share/workload
OUT=$OUTPUT/share/guest-initramfs
mkdir -p "$OUTPUT/share"
rsync -c "$BLD/arch/s390/boot/bzImage" "$OUTPUT/share/guest-kernel"

KEY=$(cat "$INIT" "$BUSYBOX" "$WORKLOAD" "$ROOT/scripts/guest-initramfs.sh" | sha256sum)
if up_to_date "$OUT.key" "$KEY" && [ -f "$OUT" ]; then
  say "up to date: target/share/guest-initramfs"
  exit
fi
{
  printf 'dir /%s 755 0 0\n' bin dev proc sys
  printf 'nod /dev/console 600 0 0 c 5 1\nfile /init %s 755 0 0\n' "$INIT"
  printf 'file /bin/busybox %s 755 0 0\nfile /bin/workload %s 755 0 0\n' "$BUSYBOX" "$WORKLOAD"
  for applet in sh cat date ls mount poweroff printf usleep; do
    printf 'slink /bin/%s busybox 777 0 0\n' $applet
  done
} >"$BLD/.initramfs.list"
"$BLD/usr/gen_init_cpio" "$BLD/.initramfs.list" | gzip -1 >"$OUT.part"
mv "$OUT.part" "$OUT"
stamp "$OUT.key" "$KEY"
say "built: target/share/guest-initramfs"
