#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Debian's kernels as guests of run-guest, each with those of its modules that
# guests without devices can use: target/guest-kernels/RELEASE/vmlinuz and kernel/.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=scripts/kernel-packages.sh
. "$ROOT/scripts/kernel-packages.sh"

SERIES=(6.12 7.2)
OUT=$OUTPUT/guest-kernels
PART=$OUT.part

DEBS=()
for series in "${SERIES[@]}"; do
  found=$(debian_kernel "$series")
  mapfile -t -O ${#DEBS[@]} DEBS <<<"$found"
done
KEY=$(printf '%s\n' "${DEBS[@]}" | cat - "$ROOT/scripts/guest-kernels.sh" | sha256sum)
if up_to_date "$OUT/.key" "$KEY"; then
  say "up to date: target/guest-kernels"
  exit
fi
rm -rf "$OUT" "$PART" && mkdir -p "$PART"
for deb in "${DEBS[@]}"; do dpkg-deb -x "$deb" "$PART"; done
for modules in "$PART"/usr/lib/modules/*; do
  release=${modules##*/}
  # Where the image is has changed over time.
  [ -f "$modules/vmlinuz" ] || mv "$PART/boot/vmlinuz-$release" "$modules/vmlinuz"
  (cd "$modules" && find vmlinuz kernel/drivers/s390/crypto kernel/drivers/char/hw_random -type f) |
    rsync -a --mkpath --files-from=- "$modules/" "$OUT/$release/"
done
rm -rf "$PART"
stamp "$OUT/.key" "$KEY"
say "built: target/guest-kernels ($(cd "$OUT" && echo *))"
