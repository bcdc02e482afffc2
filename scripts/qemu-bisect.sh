#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Can the series be bisected? Builds QEMU with the first n patches for one n after
# the other, in one build tree, and names the first patch with which it does not
# build. Each state of the series is compiled, so all of them take long.
#   qemu-bisect.sh [FIRST [LAST]]   numbers of patches; 0 is QEMU without any
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"

TREE=$OUTPUT/qemu-bisect
LOGS=$OUTPUT/logs/qemu-bisect
mapfile -t patches < <(sed -e 's/#.*//' -e '/^\s*$/d' "$ROOT/qemu-patches/series")
first=${1:-0} last=${2:-${#patches[@]}}
if ! [[ "$first $last" =~ ^[0-9]+\ [0-9]+$ ]] || [ "$first" -gt "$last" ] || [ "$last" -gt ${#patches[@]} ]; then
  die "usage: qemu-bisect.sh [FIRST [LAST]], of 0 to ${#patches[@]}" 2
fi

mkdir -p "$LOGS"
for ((n = first; n <= last; n++)); do
  what=$([ "$n" -eq 0 ] && echo "no patch" || echo "${patches[n - 1]}")
  log=$LOGS/$n.log start=$SECONDS
  # touches no more files than the patch does
  if [ "$n" -eq "$first" ]; then
    "$ROOT/scripts/qemu-tree.sh" export "$TREE" "$n"
  else
    patch -d "$TREE" -p1 --fuzz=0 --no-backup-if-mismatch -s <"$ROOT/qemu-patches/$what"
  fi
  FROM=bisect "$ROOT/scripts/qemu.sh" >"$log" 2>&1 || {
    tail -n 25 "$log" | sed 's/^/    /' >&2
    die "QEMU does not build with $what (log: ${log#"$ROOT"/})"
  }
  say "[$n/${#patches[@]}] $what: $((SECONDS - start)) s"
done
say "QEMU builds with each of these patches"
