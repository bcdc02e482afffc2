#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Builds one kernel: kernel.sh release|debug|guest. The build tree stays in the
# cache, since modules are built against it; target/kernels/FLAVOUR links to it.
# LINUX=/path/to/tree builds that tree instead of the pinned source.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
use_rust

FLAVOUR=$1
VERSION=$(value LINUX_VERSION)
I=$ROOT/images
CC=s390x-linux-gnu-gcc
case $FLAVOUR in
release) FRAGMENTS=("$I/common.config" "$I/l1.config") ;;
debug) FRAGMENTS=("$I/common.config" "$I/l1.config" "$I/l1-debug.config") CC=clang-19 ;;
guest) FRAGMENTS=("$I/common.config" "$I/l2.config") ;;
*) die "usage: kernel.sh release|debug|guest" 2 ;;
esac

SRC=${LINUX:-$BUILD/linux-$VERSION/src}
[ -f "$SRC/Kbuild" ] || die "$SRC is no Linux source tree"
NAME=linux-$VERSION
[ -z "${LINUX-}" ] || NAME=linux-own-$(sha256sum <<<"$LINUX" | cut -c1-8)
BLD=$BUILD/$NAME/$FLAVOUR
STAMP=$BLD/.key
KEY=$VERSION-$("$RUSTC" --version | cut -d' ' -f2)-$(cat "${FRAGMENTS[@]}" "$ROOT/scripts/kernel.sh" | sha256sum | cut -c1-16)
mkdir -p "$BLD" "$OUTPUT/kernels"
ln -sfn "$BLD" "$OUTPUT/kernels/$FLAVOUR"

# One's own tree may have changed anywhere: let make decide.
if [ -z "${LINUX-}" ] && up_to_date "$STAMP" "$KEY"; then
  say "up to date: kernel $VERSION $FLAVOUR"
  exit
fi
rm -f "$STAMP"

PATH=$(dirname "$RUSTC"):$TOOLS/bindgen/bin:$PATH
export PATH LIBCLANG_PATH=/usr/lib/llvm-19/lib
mk() { make -C "$SRC" O="$BLD" ARCH=s390 CROSS_COMPILE=s390x-linux-gnu- CC=$CC -j"$JOBS" "$@"; }

cat "${FRAGMENTS[@]}" >"$BLD/.fragments"
KCONFIG_ALLCONFIG=$BLD/.fragments mk -s allnoconfig
# Kconfig drops silently what it cannot have; a dropped option is an error.
grep -E '^CONFIG_' "$BLD/.fragments" | tac | sort -t= -k1,1 -us | while read -r line; do
  case $line in
  *=n) ! grep -q "^${line%=n}=" "$BLD/.config" || die "Kconfig turned ${line%=n} on against images/" ;;
  *) grep -qxF "$line" "$BLD/.config" || die "Kconfig dropped $line (images/, kernel $VERSION)" ;;
  esac
done
mk bzImage "$([ "$FLAVOUR" = guest ] && echo vmlinux || echo modules)"
stamp "$STAMP" "$KEY"
say "built: target/kernels/$FLAVOUR/arch/s390/boot/bzImage"
