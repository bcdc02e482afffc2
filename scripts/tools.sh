#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Builds the programs of the build machine: the harness and its front door.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
use_rust
cargo_build target/debug/l1 -p harness
