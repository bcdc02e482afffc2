#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Runs the tests of the whole workspace; the end-to-end ones boot L1. With
# cargo-nextest where it is installed (it splits a run over several machines:
# PARTITION=hash:1/4), else with cargo's own runner.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
use_rust
cd "$ROOT"
if "$CARGO" nextest --version >/dev/null 2>&1; then
  exec "$CARGO" nextest run --locked --workspace --no-fail-fast ${PARTITION:+--partition "$PARTITION"}
fi
exec "$CARGO" test --locked --workspace --no-fail-fast
