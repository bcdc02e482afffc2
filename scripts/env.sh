# SPDX-License-Identifier: MIT OR Apache-2.0
# Sourced by every script: where things are, and how to say what happens.
# shellcheck shell=bash
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${VFIO_AP_RS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vfio-ap-rs}
DL=$CACHE/downloads
TOOLS=$CACHE/tools
BUILD=$CACHE/build
OUTPUT=$ROOT/target
JOBS=${JOBS:-$(nproc)}
export VFIO_AP_RS_CACHE=$CACHE
mkdir -p "$DL" "$TOOLS" "$BUILD" "$OUTPUT"

say() { printf '%s\n' "$*" >&2; }
# die MESSAGE [STATUS]: one clear sentence, then out.
die() {
  say "error: $1"
  exit "${2:-1}"
}

# value NAME: an assignment of versions.mk, unless the environment has one.
value() {
  local name=$1 line
  if [ -n "${!name-}" ]; then
    printf '%s' "${!name}"
    return
  fi
  line=$(grep -E "^$name +\??:?= " "$ROOT/versions.mk") || return 0
  printf '%s' "${line#*= }"
}

# pinned_sha256 NAME VERSION: the hash versions.mk has for it, or nothing.
pinned_sha256() {
  sed -n "s/^$1_SHA256_$2 := //p" "$ROOT/versions.mk"
}

# key FILE...: one hash over names and contents, for "has anything changed?".
# Folders count with all that git would track in them, but for what is deleted.
key() {
  (cd "$ROOT" && git ls-files -co --exclude-standard -z -- "$@" | sort -zu |
    { xargs -0 -r sha256sum 2>/dev/null || true; } | sha256sum | cut -c1-16)
}

# up_to_date STAMP KEY: true when the last complete run had the same key.
up_to_date() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }
# stamp STAMP KEY: written last, and by rename, so a broken run leaves none.
stamp() {
  printf '%s\n' "$2" >"$1.$$" && mv "$1.$$" "$1"
}

# lock_cache: one build at a time in the cache, whoever calls; a second one waits.
# steps.sh holds the lock for all of its steps.
lock_cache() {
  [ -z "${CACHE_LOCKED-}" ] || return 0
  exec 9>"$CACHE/lock"
  flock -n 9 || { say "another build holds $CACHE/lock; waiting for it" && flock 9; }
  export CACHE_LOCKED=1
}

# The Rust toolchain for everything here: a rustup toolchain of at least 1.96
# that has rust-src (its core is rebuilt for s390x), else Debian's packages.
rustup_suffices() {
  local rustc
  # Not the rustc on PATH: that may be another one.
  rustc=$(rustup which rustc 2>/dev/null) || return 1
  [ -d "$("$rustc" --print sysroot)/lib/rustlib/src/rust/library" ] || return 1
  printf '1.96\n%s\n' "$("$rustc" --version | cut -d' ' -f2)" | sort -VC
}
use_rust() {
  unset RUSTUP_TOOLCHAIN
  if rustup_suffices; then
    RUSTC=$(rustup which rustc)
    CARGO=$(rustup which cargo)
  else
    RUSTC=/usr/bin/rustc
    CARGO=/usr/bin/cargo
    [ -x $RUSTC ] || die "no Rust toolchain of at least 1.96 with library sources; run 'make setup'"
    # Debian's cargo must find Debian's rustc, clippy and rustfmt first.
    PATH=/usr/bin:$PATH
  fi
  export RUSTC CARGO PATH
}

# cargo_build NAME ARGS...: builds, and says whether there was anything to do.
cargo_build() {
  local name=$1 log
  shift
  log=$(mktemp)
  "$CARGO" build --manifest-path "$ROOT/Cargo.toml" --locked "$@" 2>&1 | tee "$log" >&2
  if grep -q '^ *Compiling ' "$log"; then say "built: $name"; else say "up to date: $name"; fi
  rm -f "$log"
}

# What writes to the cache also when it is called by hand.
case ${0##*/} in
fetch.sh | kernel.sh) lock_cache ;;
qemu.sh) [ -n "${FROM-}" ] || lock_cache ;;
esac
