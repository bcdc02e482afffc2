#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Builds the bare-metal programs: the probe, the guest that tests CPUs,
# and the host that tests SIE, as
# target/s390x-unknown-none-softfloat/release/{probe,cpus,sie-host}.
# RUSTC and CARGO may name a toolchain with the library sources.
set -euo pipefail
cd "$(dirname "$0")/../.."

export RUSTC_BOOTSTRAP=1 # for -Zbuild-std
export CARGO_TARGET_S390X_UNKNOWN_NONE_SOFTFLOAT_LINKER=s390x-linux-gnu-ld
export CARGO_TARGET_S390X_UNKNOWN_NONE_SOFTFLOAT_RUSTFLAGS="-Clinker-flavor=ld"
exec "${CARGO:-cargo}" build -Zbuild-std=core --release --locked \
    --target s390x-unknown-none-softfloat -p ap-probe -p sie-host \
    --features ap-probe/bare-metal,sie-host/bare-metal --bin probe --bin cpus --bin sie-host "$@"
