#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Builds target/qemu/qemu-system-s390x: the AP device library from the
# workspace, linked into QEMU plus our series. FROM=edit builds the work tree
# target/qemu-edit instead, FROM=bisect what qemu-bisect.sh has put into
# target/qemu-bisect, to see whether it builds. Results are kept in the cache by input hash.
# `qemu.sh stock` builds target/qemu-stock/qemu-system-s390x of the same source
# without our series, by the same options: what benchmarks compare with.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
use_rust

VERSION=$(value QEMU_VERSION)
NAME=qemu
KEY=$VERSION-$(key qemu-patches ap-arch Cargo.lock scripts/qemu.sh)
SRC=$BUILD/qemu-$VERSION/src
BLD=$BUILD/qemu-$VERSION/build
OPTIONS=(--target-list=s390x-softmmu --without-default-features --enable-tcg
  --enable-fdt=system --enable-slirp --enable-virtfs --enable-attr --enable-trace-backends=log
  --disable-install-blobs --disable-docs --disable-tools --disable-werror)
if [ "${1-}" = stock ]; then
  NAME=qemu-stock
  KEY=$VERSION-$(sha256sum <<<"${OPTIONS[*]}" | cut -c1-16)
  SRC=$BUILD/qemu-$VERSION/pristine
  BLD=$BUILD/qemu-$VERSION/build-stock
fi
RESULT=target/$NAME/qemu-system-s390x
STAMP=$OUTPUT/$NAME/key
OUT=$CACHE/out/$NAME-$KEY

publish() {
  mkdir -p "$OUTPUT/$NAME"
  cp "$1/qemu-system-s390x" "$OUTPUT/$NAME/.new"
  mv "$OUTPUT/$NAME/.new" "$ROOT/$RESULT"
  stamp "$STAMP" "$KEY"
}

if [ -n "${FROM-}" ] && [ $NAME = qemu ]; then
  SRC=$OUTPUT/qemu-$FROM BLD=$OUTPUT/qemu-$FROM-build KEY=$FROM
  [ -d "$SRC" ] || die "there is no target/qemu-$FROM; 'make qemu-$FROM' makes one"
  # whether it builds is the same without, in less than half of the time
  [ "$FROM" != bisect ] || OPTIONS+=(-Doptimization=0 --disable-debug-info)
elif up_to_date "$STAMP" "$KEY" && [ -x "$ROOT/$RESULT" ]; then
  say "up to date: $RESULT"
  exit
elif [ -x "$OUT/qemu-system-s390x" ]; then
  publish "$OUT"
  say "from the cache: $RESULT"
  exit
elif [ $NAME = qemu ]; then
  "$ROOT/scripts/qemu-tree.sh" export "$SRC"
else
  "$ROOT/scripts/qemu-tree.sh" pristine
fi

if [ $NAME = qemu ]; then
  # The device model: its own target folder, since QEMU wants panic=abort. Not in
  # the cache: cargo takes what another checkout built later for its own.
  "$CARGO" build --manifest-path "$ROOT/Cargo.toml" --locked -p ap-device --profile qemu --target-dir "$OUTPUT/build/ap-device"
  rsync -c "$OUTPUT/build/ap-device/qemu/libap_device.a" "$ROOT/qemu-patches/ap-device/include/ap_device.h" \
    "$SRC/subprojects/ap-device/"
fi

mkdir -p "$BLD"
if [ ! -f "$BLD/build.ninja" ]; then
  (cd "$BLD" && "$SRC/configure" --python="$TOOLS/meson/bin/python3" "${OPTIONS[@]}")
fi
ninja -C "$BLD" -j "$JOBS" qemu-system-s390x
"$BLD/qemu-system-s390x" -version
[ "$KEY" != bisect ] || exit 0

if [ "$KEY" = edit ]; then
  OUT=$BLD
else
  mkdir -p "$OUT.$$"
  cp "$BLD/qemu-system-s390x" "$OUT.$$/"
  rm -rf "$OUT" && mv "$OUT.$$" "$OUT"
fi
publish "$OUT"
say "built: $RESULT"
