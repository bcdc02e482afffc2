#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Cheap checks of the whole tree: runs all of them, then says which failed.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
use_rust
cd "$ROOT"

licences() {
  local bad
  bad=$(git ls-files '*.rs' '*.sh' '*.c' '*.h' '*.toml' '*.config' Makefile l1 .ci/run |
    xargs grep -L 'SPDX-License-Identifier:' | grep -v '^Cargo.lock$') || return 0
  say "no SPDX line in: $bad" && return 1
}
# Every folder that README's map names exists, and every crate is in the map.
map() {
  local bad=0 d
  for d in $(git ls-files '*/Cargo.toml' | sed 's#/Cargo.toml##' | grep -v /fuzz); do
    grep -q "$d" README.md || { say "README's map lacks $d" && bad=1; }
  done
  while read -r d; do
    [ -e "$d" ] || { say "README's map names $d, which is not there" && bad=1; }
  done < <(sed -n '/^## Where things are/,/^## /p' README.md | grep -oE '^\| [`][a-z0-9/.-]+' | cut -c4-)
  return $bad
}
small_scripts() {
  local long
  long=$(git ls-files 'scripts/*' l1 .ci/run | xargs wc -l | awk '$1 > 100 && $2 != "total"')
  [ -z "$long" ] || { say "over 100 lines: $long" && return 1; }
}

# Unsafe code has its places; a new one is argued here.
unsafe_places() {
  local allowed='^(hostdrv/abi/|vmm/src/kvm/|vmm/kvm-bindings/|qemu-patches/ap-device/(src/ffi/|tests/ffi\.rs)'
  # The filter of system calls, which no crate installs on this architecture.
  allowed+='|vmm/src/sandbox/install\.rs'
  # The probes' starts are called from assembly; SIE tests are bare metal too.
  allowed+='|guest-tests/probes/src/bin/(probe/insn|cpus/cpu|cpus/state)\.rs|guest-tests/sie/'
  # Wrong VFIO calls made on purpose, which no crate offers, and a page that a
  # call waits for; ioctls of zcrypt with pointers in them; fork.
  allowed+='|guest-tests/agent/src/bin/(vfio-client/(sys|stall)|zcrypt/ioctl|workload)\.rs)'
  local bad
  bad=$(git grep -lE '\bunsafe (\{|fn|impl|extern)|unsafe\(' -- '*.rs' | grep -vE "$allowed") || return 0
  say "unsafe code in: $bad" && return 1
}

# What must not compile, does not: examples in hostdrv/logic.
order_in_types() {
  "$CARGO" test -q --locked -p vfio-ap-logic --doc >/dev/null && return
  say "examples of hostdrv/logic are wrong: cargo test -p vfio-ap-logic --doc" && return 1
}
# Only callbacks say what a thread holds: elsewhere it is an argument.
entries() {
  local bad
  bad=$(git grep -lF 'on_entry()' -- 'hostdrv/*.rs' ':!hostdrv/abi' ':!hostdrv/logic') || return 0
  say "a lock token out of nothing in: $bad" && return 1
}

failed=()
run() {
  local name=$1
  shift
  "$@" || failed+=("$name")
}
run fmt "$CARGO" fmt --all --check
run clippy "$CARGO" clippy -q --locked --workspace --all-targets -- -D warnings
mapfile -t scripts < <(git ls-files 'scripts/*.sh' l1 .ci/run)
run shellcheck shellcheck -x "${scripts[@]}"
run licences licences
run unsafe unsafe_places
run entries entries
run order order_in_types
run map map
run small-scripts small_scripts
[ ${#failed[@]} -eq 0 ] || die "failed checks: ${failed[*]}"
say "built: all checks passed"
