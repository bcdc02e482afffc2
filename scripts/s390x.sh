#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Builds the s390x programs that run in L1 and L2, or with `dist` the one that
# runs scenarios on a mainframe: static, with the standard library built from
# source where no ready-made one is installed.
# Not in the cache: cargo takes what another checkout built later for its own.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
use_rust

HOSTED=s390x-unknown-linux-gnu
export CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_LINKER=s390x-linux-gnu-gcc
export CARGO_TARGET_S390X_UNKNOWN_LINUX_GNU_RUSTFLAGS=-Ctarget-feature=+crt-static
# build-std is unstable; the flag lets a stable compiler take it.
export RUSTC_BOOTSTRAP=1

# For mainframes, which need no other machine to run scenarios.
if [ "${1-}" = dist ]; then
  cargo_build "run-guest" --release -Zbuild-std=std,panic_abort --target $HOSTED \
    --target-dir "$OUTPUT/build/s390x" -p harness --bin run-guest
  rsync -c "$OUTPUT/build/s390x/$HOSTED/release/run-guest" "$OUTPUT/s390x/"
  exit
fi

cargo_build "agent, programs for L1 and L2, apvmm" --release -Zbuild-std=std,panic_abort --target $HOSTED \
  --target-dir "$OUTPUT/build/s390x" -p l1-agent -p apvmm -p ap-probe

# Bare metal, which needs core alone.
CARGO_TARGET_DIR=$OUTPUT/build/s390x "$ROOT/guest-tests/bare-metal/build.sh"

# What the agent mounts as /mnt/host in L1.
mkdir -p "$OUTPUT/s390x" "$OUTPUT/share"
rsync -c "$OUTPUT/build/s390x/$HOSTED/release/"{l1-agent,linux-probe} "$OUTPUT/s390x/"
rsync -c "$OUTPUT/build/s390x/$HOSTED/release/"{apvmm,confined,follow,host-io,vfio-client,workload,zcrypt} \
  "$OUTPUT/build/s390x/s390x-unknown-none-softfloat/release/"{probe,cpus,sie-host} "$OUTPUT/share/"
