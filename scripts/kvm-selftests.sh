#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Builds the kernel's own KVM selftests from the pinned source into
# target/share/kvm-selftests, static, so that they run in L1's small root.
#   kvm-selftests.sh          build
#   kvm-selftests.sh run      and run all in L1, or those named after `run`;
#                             results must be those of guest-tests/kvm-selftests
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"

VERSION=$(value LINUX_VERSION)
SRC=${LINUX:-$BUILD/linux-$VERSION/src}
BLD=$BUILD/kvm-selftests-$VERSION
OUT=$OUTPUT/share/kvm-selftests
EXPECTED=$ROOT/guest-tests/kvm-selftests
[ -d "$SRC/tools/testing/selftests/kvm/s390" ] || die "$SRC has no KVM selftests for s390"

build() {
  mkdir -p "$BLD/kvm" "$OUT"
  local mk=(make -s -j"$JOBS" ARCH=s390 CROSS_COMPILE=s390x-linux-gnu-)
  [ -d "$BLD/headers" ] || "${mk[@]}" -C "$SRC" O="$BLD/kernel" INSTALL_HDR_PATH="$BLD/headers" headers_install
  # Flags by environment: the makefile adds to them.
  LDFLAGS=-static "${mk[@]}" -C "$SRC/tools/testing/selftests/kvm" OUTPUT="$BLD/kvm" \
    KHDR_INCLUDES="-isystem $BLD/headers/include" all
  find "$BLD/kvm" -type f -perm -u+x -exec cp -u {} "$OUT/" \;
}

# expected NAME FIELD: result or arguments of a test, empty if it has no line.
expected() { awk -F '|' -v t="$1" -v f="$2" '{ gsub(/ +$/, "", $1); gsub(/^ +| +$/, "", $f) } $1 == t { print $f }' "$EXPECTED"; }

# In L1: t NAME ARGUMENTS..., one line a test: its name, how it ended, and the
# seconds. fail:N is a failure after N parts that passed, partial:N a pass with
# N parts skipped; a test none of whose parts ran has been skipped.
in_l1() {
  cat <<'END'
cd /mnt/host/kvm-selftests
t() {
  name=$1 begin=$(date +%s)
  shift
  timeout -k 5 "$LIMIT" "./$name" "$@" >/tmp/log 2>&1 </dev/null
  case $? in 0) r=pass ;; 4) r=skip ;; 124 | 137 | 143) r=timeout ;; *) r=fail ;; esac
  skipped=$(grep -c '^ok .*# SKIP' /tmp/log)
  passed=$(($(grep -c '^ok ' /tmp/log) - skipped))
  case $r in
  pass) [ "$skipped" = 0 ] || { [ $passed = 0 ] && r=skip || r=partial:$skipped; } ;;
  fail) [ $passed = 0 ] || r=fail:$passed ;;
  esac
  echo "RESULT $name $r ($(($(date +%s) - begin)) s)"
  [ $r = pass ] || sed "s/^/  $name: /" /tmp/log | tail -n "$LINES_SHOWN"
}
END
}

run() {
  local tests=("$@") script log=$OUTPUT/logs/kvm-selftests.log bad=0 name want got
  [ ${#tests[@]} -gt 0 ] || mapfile -t tests < <(find "$OUT" -type f -printf '%f\n' | sort)
  script=$(mktemp)
  mkdir -p "${log%/*}"
  {
    printf 'LIMIT=%s LINES_SHOWN=%s\n' "${LIMIT:-1800}" "${LINES_SHOWN:-12}" && in_l1
    for name in "${tests[@]}"; do printf 't %s %s\n' "$name" "$(expected "$name" 3)"; done
  } >"$script"
  "$ROOT/l1" run --smp "${SMP:-2}" --memory 4096 --timeout 14000 --script "$script" | tee "$log"
  rm -f "$script"
  for name in "${tests[@]}"; do
    got=$(sed -n "s/^RESULT $name \([^ ]*\) .*/\1/p" "$log")
    want=$(expected "$name" 2)
    [ "${got:-missing}" = "${want:-pass}" ] || { say "$name: ${got:-missing}, not ${want:-pass}" && bad=1; }
  done
  [ $bad = 0 ] || die "KVM selftests differ from guest-tests/kvm-selftests"
  say "${#tests[@]} KVM selftests as expected"
}

build
say "built: target/share/kvm-selftests"
[ "${1-}" != run ] || run "${@:2}"
