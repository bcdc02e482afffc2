#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Changes the driver's rules in small ways, one at a time, and counts how many
# changes their tests notice; fails below 95 %. Hours on one core; the report is
# target/mutants/mutants.out. Arguments go to cargo-mutants (--shard 1/8).
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
use_rust
cd "$ROOT"

VERSION=$(value MUTANTS_VERSION)
MUTANTS=$TOOLS/mutants/bin/cargo-mutants
if [ "$("$MUTANTS" mutants --version 2>/dev/null)" != "cargo-mutants $VERSION" ]; then
  "$CARGO" install cargo-mutants --version "$VERSION" --locked --force --root "$TOOLS/mutants" --target-dir "$BUILD/mutants"
fi

OUT=target/mutants
mkdir -p $OUT
# 2 and 3: mutants that were missed, or ran into the time limit; counted below
status=0
"$MUTANTS" mutants --package vfio-ap-logic --output $OUT --no-shuffle --jobs "$JOBS" "$@" -- --lib --tests || status=$?
[ $status -eq 0 ] || [ $status -eq 2 ] || [ $status -eq 3 ] || die "cargo-mutants ended with $status"
count() { wc -l <"$OUT/mutants.out/$1.txt"; }
noticed=$(($(count caught) + $(count timeout))) missed=$(count missed)
say "mutants of hostdrv/logic: $noticed noticed, $missed missed"
[ $((noticed * 100)) -ge $(((noticed + missed) * 95)) ] || die "fewer than 95 % were noticed"
