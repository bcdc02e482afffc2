#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Builds target/kernels/norust: an L1 kernel with the C driver and without Rust, as
# a host may have. Not a flavour of kernel.sh, whose text is part of the cache key of
# those: this one, for one test, must not have them all built anew. It begins with the
# object files of the release kernel, most of which are the same.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
lock_cache

VERSION=$(value LINUX_VERSION)
SRC=$BUILD/linux-$VERSION/src
BLD=$BUILD/linux-$VERSION/norust
FRAGMENTS=("$ROOT/images/"{common,l1,l1-norust}.config)
KEY=$VERSION-$(cat "${FRAGMENTS[@]}" "$ROOT/scripts/norust-kernel.sh" | sha256sum | cut -c1-16)
mkdir -p "$OUTPUT/kernels"
ln -sfn "$BLD" "$OUTPUT/kernels/norust"
if up_to_date "$BLD/.key" "$KEY"; then
  say "up to date: kernel $VERSION norust"
  exit
fi
# Whole or not at all.
if [ ! -d "$BLD" ]; then
  rm -rf "$BLD.part"
  cp -a "$BUILD/linux-$VERSION/release" "$BLD.part" && mv "$BLD.part" "$BLD"
fi
rm -f "$BLD/.key"

mk() { make -C "$SRC" O="$BLD" ARCH=s390 CROSS_COMPILE=s390x-linux-gnu- CC=s390x-linux-gnu-gcc -j"$JOBS" "$@"; }
cat "${FRAGMENTS[@]}" >"$BLD/.fragments"
KCONFIG_ALLCONFIG=$BLD/.fragments mk -s allnoconfig
# What the test is about; kernel.sh has seen to the rest of the options.
! grep -qx CONFIG_RUST=y "$BLD/.config" || die "Kconfig turned CONFIG_RUST on against images/"
for line in CONFIG_VFIO_AP=m CONFIG_KVM=y CONFIG_ZCRYPT=y CONFIG_NET_9P_VIRTIO=y; do
  grep -qxF "$line" "$BLD/.config" || die "Kconfig dropped $line (images/, kernel $VERSION)"
done
mk bzImage modules
stamp "$BLD/.key" "$KEY"
say "built: target/kernels/norust/arch/s390/boot/bzImage"
