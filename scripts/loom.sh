#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Runs the driver's concurrency protocol in all interleavings (with at most two
# preemptions each): hostdrv/logic/tests/protocol.rs under loom.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
use_rust
cd "$ROOT"
export RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=${LOOM_MAX_PREEMPTIONS:-2}
exec "$CARGO" test --locked --release -p vfio-ap-logic --test protocol --target-dir target/loom
