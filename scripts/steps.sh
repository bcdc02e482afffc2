#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Runs named steps in order, one log file each, under one lock for the cache:
#   steps.sh NAME=COMMAND...   e.g. steps.sh qemu=scripts/qemu.sh
# Shows which step of how many, the time it took, and a failed step's tail.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"

LOGS=$OUTPUT/logs/build
NEEDED_GB=14
mkdir -p "$LOGS"

# A full build takes about 12 GB, most of it kernel and QEMU objects.
free_gb() { df -Pk "$1" | awk 'NR == 2 { print int($4 / 1048576) }'; }
if [ ! -e "$OUTPUT/.complete" ] && [ "$(free_gb "$CACHE")" -lt $NEEDED_GB ]; then
  die "a first build needs $NEEDED_GB GB free in $CACHE; there are $(free_gb "$CACHE") GB (VFIO_AP_RS_CACHE names another place)"
fi

lock_cache

current=
trap 'say "interrupted in step $current; run the command again to go on"; exit 130' INT TERM

total=$# n=0 begin=$SECONDS
for step in "$@"; do
  n=$((n + 1)) current=${step%%=*} command=${step#*=} log=$LOGS/$current.log start=$SECONDS
  printf '[%d/%d] %-14s ... ' "$n" "$total" "$current" >&2
  status=0
  # shellcheck disable=SC2086 # a command with its arguments
  (cd "$ROOT" && exec $command) >"$log" 2>&1 9>&- || status=$?
  if [ $status -ne 0 ]; then
    say "FAILED after $((SECONDS - start)) s (log: ${log#"$ROOT"/})"
    tail -n 25 "$log" | sed 's/^/    /' >&2
    if grep -q "No space left on device" "$log"; then
      say "error: the disk is full: $(free_gb "$CACHE") GB free in $CACHE, $(free_gb "$OUTPUT") GB in $OUTPUT"
    fi
    exit $status
  fi
  say "$((SECONDS - start)) s, $(grep -E '^(up to date|from the cache|built|fetched)' "$log" | tail -n 1 || true)"
  grep -E '^NOTICE: .* in its place$' "$log" >&2 || true
done
touch "$OUTPUT/.complete"
say "$total steps, $((SECONDS - begin)) s"
