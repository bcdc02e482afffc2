#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Runs the tests of the whole workspace; the end-to-end ones boot L1. With
# cargo-nextest where it is installed (it splits a run over several machines:
# PARTITION=hash:1/4), else with cargo's own runner.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
use_rust
cd "$ROOT"
# The device model's deliberate faults, which its tests must notice.
what=(--locked --workspace --features ap-device/mutants --no-fail-fast)
if "$CARGO" nextest --version >/dev/null 2>&1; then
  exec "$CARGO" nextest run "${what[@]}" ${PARTITION:+--partition "$PARTITION"}
fi
exec "$CARGO" test "${what[@]}"
