#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Makes target/kernels/initramfs-FLAVOUR for L1: busybox, the agent as /init and
# the kernel's modules. The kernel's own gen_init_cpio writes device nodes and
# owners, so no root is needed.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"

FLAVOUR=$1
BLD=$OUTPUT/kernels/$FLAVOUR
OUT=$OUTPUT/kernels/initramfs-$FLAVOUR
BUSYBOX=$TOOLS/busybox-s390x

"$ROOT/scripts/busybox.sh"
KEY=$(cat "$BLD/.key" "$BUSYBOX" "$OUTPUT/s390x/l1-agent" "$ROOT/scripts/initramfs.sh" | sha256sum)
if up_to_date "$OUT.key" "$KEY" && [ -f "$OUT" ]; then
  say "up to date: ${OUT#"$ROOT"/}"
  exit
fi

MODS=$BLD/.modules
rm -rf "$MODS"
make -s -C "$BLD" ARCH=s390 CROSS_COMPILE=s390x-linux-gnu- INSTALL_MOD_PATH="$MODS" INSTALL_MOD_STRIP=1 modules_install

APPLETS="sh ash cat chmod chroot cp cut date dd df dmesg du echo env expr false find free grep head hostname
  id insmod kill ln ls lsmod md5sum mkdir mknod modprobe mount mv nc nproc od ps pwd readlink rm rmdir rmmod
  sed seq setsid sha256sum sleep sort stat stty sync tail tee test time timeout touch tr true umount uname
  uniq vi wc which xargs yes"
{
  for d in bin dev etc lib mnt proc root run sbin sys tmp usr usr/bin; do
    printf 'dir /%s 755 0 0\n' "$d"
  done
  printf 'nod /dev/console 600 0 0 c 5 1\nfile /init %s 755 0 0\n' "$OUTPUT/s390x/l1-agent"
  printf 'file /bin/busybox %s 755 0 0\n' "$BUSYBOX"
  for applet in $APPLETS; do
    printf 'slink /bin/%s busybox 777 0 0\n' "$applet"
  done
  (cd "$MODS" && find lib/modules -mindepth 0 -type d -printf 'dir /%p 755 0 0\n')
  (cd "$MODS" && find lib/modules -type f -printf "file /%p $MODS/%p 644 0 0\n")
} >"$BLD/.initramfs.list"
"$BLD/usr/gen_init_cpio" "$BLD/.initramfs.list" | gzip -1 >"$OUT.part"
mv "$OUT.part" "$OUT"
stamp "$OUT.key" "$KEY"
say "built: ${OUT#"$ROOT"/}"
