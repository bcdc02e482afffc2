#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Makes target/l1-root, a folder with Debian's s390x userland for
# `./l1 run --root target/l1-root --chroot`: l1-root.sh [PACKAGE...].
# SUITE=sid makes target/l1-root-sid, of Debian's newest.
# Packages are unpacked, not installed: no maintainer script runs, no root needed.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=scripts/apt.sh
. "$ROOT/scripts/apt.sh"

BASE=(base-files bash dash coreutils grep sed findutils mawk util-linux libc-bin procps)
DEFAULT=(s390-tools mdevctl openssl kmod)
if [ $# -gt 0 ]; then WANTED=("$@"); else WANTED=("${DEFAULT[@]}"); fi
SUITE=${SUITE:-trixie}
OUT=$OUTPUT/l1-root
[ "$SUITE" = trixie ] || OUT+=-$SUITE
STAMP=$OUTPUT/.${OUT##*/}.key
DEBS=$DL/s390x

mkdir -p "$DEBS"
KEY=$(printf '%s\n' "${BASE[@]}" "${WANTED[@]}" | sha256sum)
if up_to_date "$STAMP" "$KEY" && [ -d "$OUT" ]; then
  say "up to date: target/${OUT##*/}"
  exit
fi

# One suite, so that all packages fit each other; apt resolves, we unpack.
mapfile -t uris < <(private_apt get install --print-uris -qq --no-install-recommends \
  -t "$SUITE" "${BASE[@]}" "${WANTED[@]}" | sed -n "s/^'\([^']*\)' \([^ ]*\) .*/\2/p")
[ ${#uris[@]} -gt 0 ] || die "apt found nothing to unpack for: ${WANTED[*]}"
say "${#uris[@]} packages"
(cd "$DEBS" && private_apt get install --download-only -y -qq --no-install-recommends \
  -t "$SUITE" -o Dir::Cache::archives="$DEBS" "${BASE[@]}" "${WANTED[@]}")

rm -rf "$OUT.part" && mkdir -p "$OUT.part"
for deb in "${uris[@]}"; do
  dpkg-deb -x "$DEBS/${deb//:/%3a}" "$OUT.part"
done
mkdir -p "$OUT.part"/{proc,sys,dev,tmp,run,mnt/host,root}
rm -rf "$OUT" && mv "$OUT.part" "$OUT"
stamp "$STAMP" "$KEY"
say "built: target/${OUT##*/} ($(du -sh "$OUT" | cut -f1))"
