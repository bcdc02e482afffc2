#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Builds target/qemu/qemu-system-s390x: the AP device library from the
# workspace, linked into QEMU plus our series. FROM=edit builds the work tree
# target/qemu-edit instead. Results are kept in the cache by input hash.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
use_rust

VERSION=$(value QEMU_VERSION)
STAMP=$OUTPUT/qemu/key
KEY=$VERSION-$(key qemu-patches ap-arch Cargo.lock scripts/qemu.sh)
OUT=$CACHE/out/qemu-$KEY
SRC=$BUILD/qemu-$VERSION/src
BLD=$BUILD/qemu-$VERSION/build

publish() {
  mkdir -p "$OUTPUT/qemu"
  cp "$1/qemu-system-s390x" "$OUTPUT/qemu/.new"
  mv "$OUTPUT/qemu/.new" "$OUTPUT/qemu/qemu-system-s390x"
  stamp "$STAMP" "$KEY"
}

if [ "${FROM-}" = edit ]; then
  SRC=$OUTPUT/qemu-edit BLD=$OUTPUT/qemu-edit-build KEY=edit
  [ -d "$SRC" ] || die "there is no target/qemu-edit; 'make qemu-edit' makes one"
elif up_to_date "$STAMP" "$KEY" && [ -x "$OUTPUT/qemu/qemu-system-s390x" ]; then
  say "up to date: target/qemu/qemu-system-s390x"
  exit
elif [ -x "$OUT/qemu-system-s390x" ]; then
  publish "$OUT"
  say "from the cache: target/qemu/qemu-system-s390x"
  exit
else
  "$ROOT/scripts/qemu-tree.sh" export "$SRC"
fi

# The device model: its own target folder, since QEMU wants panic=abort. Not in
# the cache: cargo takes what another checkout built later for its own.
"$CARGO" build --manifest-path "$ROOT/Cargo.toml" --locked -p ap-device --profile qemu --target-dir "$OUTPUT/build/ap-device"
rsync -c "$OUTPUT/build/ap-device/qemu/libap_device.a" "$ROOT/qemu-patches/ap-device/include/ap_device.h" \
  "$SRC/subprojects/ap-device/"

mkdir -p "$BLD"
if [ ! -f "$BLD/build.ninja" ]; then
  (cd "$BLD" && "$SRC/configure" --python="$TOOLS/meson/bin/python3" \
    --target-list=s390x-softmmu --without-default-features --enable-tcg \
    --enable-fdt=system --enable-slirp --enable-virtfs --enable-attr --enable-trace-backends=log \
    --disable-install-blobs --disable-docs --disable-tools --disable-werror)
fi
ninja -C "$BLD" -j "$JOBS" qemu-system-s390x
"$BLD/qemu-system-s390x" -version

if [ "$KEY" = edit ]; then
  OUT=$BLD
else
  mkdir -p "$OUT.$$"
  cp "$BLD/qemu-system-s390x" "$OUT.$$/"
  rm -rf "$OUT" && mv "$OUT.$$" "$OUT"
fi
publish "$OUT"
say "built: target/qemu/qemu-system-s390x"
