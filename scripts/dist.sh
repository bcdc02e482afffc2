#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Makes target/dist/vfio-ap-rs-s390x-VERSION.tar.gz: all that run-guest needs on
# a mainframe, which needs no compiler then. docs/s390x-hosts.md is its README.
# dist.sh running: with the module of that kernel, if there is one.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"

"$ROOT/scripts/s390x.sh" dist

VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml" | head -n 1)
FLAVOUR=${1:-release}
MODULE=$OUTPUT/hostdrv/$FLAVOUR/hostdrv/vfio_ap.ko
RELEASE=none
if [ "$FLAVOUR" = release ] || [ -f "$MODULE" ]; then
  RELEASE=$(cat "$OUTPUT/kernels/$FLAVOUR/include/config/kernel.release")
fi
NAME=vfio-ap-rs-s390x-$VERSION
DIR=$OUTPUT/dist/$NAME
TAR=$OUTPUT/dist/$NAME.tar.gz

KEY=$(cd "$OUTPUT" && cat s390x/run-guest share/{apvmm,host-io,probe,guest-kernel,guest-initramfs} \
  "$ROOT/scripts/dist.sh" | sha256sum)$RELEASE$(sha256sum "$MODULE" 2>/dev/null || true)$(key guest-tests/scenarios \
  guest-tests/topologies docs LICENSES images versions.mk)
if up_to_date "$TAR.key" "$KEY" && [ -f "$TAR" ]; then
  say "up to date: ${TAR#"$ROOT"/}"
  exit
fi

rm -rf "$DIR"
mkdir -p "$DIR/share" "$DIR/docs" "$DIR/modules"
cp -r "$ROOT/guest-tests/scenarios" "$ROOT/guest-tests/topologies" "$ROOT/LICENSES" "$DIR/"
cp "$ROOT/docs/"{s390x-hosts,scenarios,apvmm}.md "$DIR/docs/"
ln -s docs/s390x-hosts.md "$DIR/README.md"
cp "$OUTPUT/s390x/run-guest" "$DIR/"
cp "$OUTPUT/share/"{apvmm,host-io,probe,guest-kernel,guest-initramfs} "$DIR/share/"
# Of what the guest kernel is built, which the GPL wants told.
cat "$ROOT/images/common.config" "$ROOT/images/l2.config" >"$DIR/share/guest-kernel.config"
s390x-linux-gnu-strip "$DIR"/{run-guest,share/apvmm,share/host-io}
if [ "$RELEASE" != none ]; then
  mkdir "$DIR/modules/$RELEASE"
  s390x-linux-gnu-strip --strip-debug -o "$DIR/modules/$RELEASE/vfio_ap.ko" "$MODULE"
fi

date=$(git -C "$ROOT" log -1 --format=%ct 2>/dev/null || echo 0)
tar -C "$OUTPUT/dist" --sort=name --mtime="@$date" --owner=0 --group=0 --numeric-owner -c "$NAME" | gzip -9n >"$TAR.part"
mv "$TAR.part" "$TAR"
ln -sfn "$NAME" "$OUTPUT/dist/current"
ln -sfn "$NAME.tar.gz" "$OUTPUT/dist/current.tar.gz"
stamp "$TAR.key" "$KEY"
say "built: ${TAR#"$ROOT"/} ($(du -h "$TAR" | cut -f1), module for Linux $RELEASE)"
