#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Makes L1's parts for Debian's stock kernel: target/kernels/debian/vmlinuz and
# target/kernels/initramfs-debian, which is ours with that kernel's modules for
# the AP bus and for the shared folders, loaded before the agent starts.
# Also target/share/debian-kernel and debian-virtio-blk, for guests in L1.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=scripts/kernel-packages.sh
. "$ROOT/scripts/kernel-packages.sh"

SERIES=6.12
MODULES=(zcrypt_cex4 9p 9pnet_virtio overlay)
OUT=$OUTPUT/kernels/debian
BASE=$OUTPUT/kernels/initramfs-release

FOUND=$(debian_kernel $SERIES)
mapfile -t DEBS <<<"$FOUND"

KEY=$(cat "${DEBS[@]}" "$BASE" "$ROOT/scripts/debian-kernel.sh" | sha256sum)
if up_to_date "$OUT/.key" "$KEY"; then
  say "up to date: target/kernels/debian"
  exit
fi
rm -rf "$OUT" && mkdir -p "$OUT/root/lib"
for deb in "${DEBS[@]}"; do dpkg-deb -x "$deb" "$OUT/root"; done
mv "$OUT"/root/boot/vmlinuz-* "$OUT/vmlinuz"
mv "$OUT"/root/usr/lib/modules "$OUT/root/lib/"
RELEASE=$(ls "$OUT/root/lib/modules")
depmod -b "$OUT/root" "$RELEASE"

# Later archives of an initramfs add to and replace what earlier ones have.
{
  printf '#!/bin/sh\n# Loads what this kernel has as modules, then becomes the agent.\n'
  modprobe -d "$OUT/root" -S "$RELEASE" -a --show-depends "${MODULES[@]}" |
    while read -r _ file _; do
      ko=$(basename "$file" .xz)
      [ -f "$OUT/$ko" ] || xz -dc "$file" >"$OUT/$ko"
      printf 'insmod /stock/%s\n' "$ko"
    done | awk '!seen[$0]++'
  printf 'exec /bin/l1-agent\n'
} >"$OUT/init"
{
  printf 'dir /stock 755 0 0\nfile /init %s 755 0 0\n' "$OUT/init"
  printf 'file /bin/l1-agent %s 755 0 0\n' "$OUTPUT/s390x/l1-agent"
  for ko in "$OUT"/*.ko; do
    printf 'file /stock/%s %s 644 0 0\n' "$(basename "$ko")" "$ko"
  done
} >"$OUT/.initramfs.list"
"$OUTPUT/kernels/release/usr/gen_init_cpio" "$OUT/.initramfs.list" | gzip -1 | cat "$BASE" - >"$OUT.part"
mv "$OUT.part" "$OUTPUT/kernels/initramfs-debian"

# For guests in L1: the kernel, and what to append to a RAM disk for disks.
mkdir -p "$OUTPUT/share"
xz -dc "$OUT/root/lib/modules/$RELEASE/kernel/drivers/block/virtio_blk.ko.xz" >"$OUT/virtio_blk.ko"
printf 'file /virtio_blk.ko %s 644 0 0\n' "$OUT/virtio_blk.ko" >"$OUT/.guest.list"
"$OUTPUT/kernels/release/usr/gen_init_cpio" "$OUT/.guest.list" | gzip -1 >"$OUTPUT/share/debian-virtio-blk"
rsync -c "$OUT/vmlinuz" "$OUTPUT/share/debian-kernel"
rm -rf "$OUT/root"
stamp "$OUT/.key" "$KEY"
say "built: target/kernels/debian ($RELEASE)"
