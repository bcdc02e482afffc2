#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Builds hostdrv/ as a module for one of our kernels: module.sh release|debug,
# and with a second word with that defect built in, into a folder of its own; or
# for the kernel that runs on a mainframe: module.sh running.
# The module is built in a copy of the sources under target/hostdrv/FLAVOUR, so
# that no object file lands among them; vfio_ap.ko is linked to the top there.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
use_rust

FLAVOUR=$1
BLD=$(readlink -e "$OUTPUT/kernels/$FLAVOUR") || {
  [ "$FLAVOUR" = running ] || die "scripts/kernel.sh $FLAVOUR comes first"
  rm -rf "$OUTPUT/hostdrv/running"
  say "up to date: no module for the running kernel"
  exit
}
DIR=$OUTPUT/hostdrv/$FLAVOUR${2:+-$2}
export VFIO_AP_DEFECT=${2-}
MODULE=$DIR/hostdrv/vfio_ap.ko
case $FLAVOUR in
debug) TOOLS_OF=(CROSS_COMPILE=s390x-linux-gnu- CC=clang-19) ;;
running) TOOLS_OF=() ;;
*) TOOLS_OF=(CROSS_COMPILE=s390x-linux-gnu- CC=s390x-linux-gnu-gcc) ;;
esac
PATH=$(dirname "$RUSTC"):$TOOLS/bindgen/bin:$PATH
export PATH LIBCLANG_PATH=/usr/lib/llvm-19/lib

mkdir -p "$DIR"
for folder in hostdrv ap-arch; do
  rsync -rlc "$ROOT/$folder/" "$DIR/$folder/"
done
before=$(stat -c %Y "$MODULE" 2>/dev/null || echo 0)
make -C "$BLD" M="$DIR/hostdrv" ARCH=s390 "${TOOLS_OF[@]}" -j"$JOBS" modules
ln -sfn hostdrv/vfio_ap.ko "$DIR/vfio_ap.ko"
if [ "$(stat -c %Y "$MODULE")" = "$before" ]; then
  say "up to date: ${DIR#"$ROOT"/}/vfio_ap.ko"
else
  say "built: ${DIR#"$ROOT"/}/vfio_ap.ko"
fi
