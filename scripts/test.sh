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
# NIGHTLY=1 adds the tests that need more than `make test` builds.
if "$CARGO" nextest --version >/dev/null 2>&1; then
  [ -z "${NIGHTLY-}" ] || what+=(--run-ignored all)
  # A kept machine needs the terminal, and all the time there is.
  [ -z "${KEEP-}" ] || what+=(--no-capture --profile keep)
  exec "$CARGO" nextest run "${what[@]}" ${PARTITION:+--partition "$PARTITION"}
fi
[ -z "${NIGHTLY-}" ] || what+=(-- --include-ignored)
exec "$CARGO" test "${what[@]}"
