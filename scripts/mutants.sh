#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Changes the driver's rules in small ways, one at a time, and counts how many
# changes their tests notice; fails below 95 %. An hour on one core with
# cargo-nextest, which ends a run at the first failure. The lists are in
# target/mutants/mutants.out, a page of them is docs/evidence/mutants.md.
#   mutants.sh [ARG...]        arguments go to cargo-mutants (--shard 1/8)
#   mutants.sh page FOLDER...  only the page, of the lists in these folders
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
use_rust
cd "$ROOT"

OUT=target/mutants
PAGE=docs/evidence/mutants.md

# list NAME FOLDER...: what ended so, each once.
list() {
  local name=$1 folder
  shift
  for folder in "$@"; do cat "$folder/$name.txt"; done | sort -u
}

# page FOLDER...: the table by file, and the names of all but the caught.
page() {
  local lists all name
  lists=$(mktemp -d)
  for name in caught timeout missed unviable; do list $name "$@" >"$lists/$name"; done
  # what was missed once and is noticed now is noticed
  grep -vxFf "$lists/caught" "$lists/missed" >"$lists/still" || true
  mv "$lists/still" "$lists/missed"
  all=$(grep -c '"name":' "$1/mutants.json" || true)
  {
    cat <<'TEXT'
<!-- SPDX-License-Identifier: MIT OR Apache-2.0 -->
# Mutants of the driver's rules

Made by `scripts/mutants.sh`, which changes `hostdrv/logic` in small ways; do not
edit. A change is *caught* if a test of the crate fails with it, or *too slow* if
the tests then do not end; both are noticed. One that does not compile is *not
viable* and does not count.

| file | caught | too slow | missed | not viable |
|---|---|---|---|---|
TEXT
    (cd "$lists" && awk -F: '
      { file = $1; sub(".*/", "", file); files[file]; seen[file, FILENAME]++; sum[FILENAME]++ }
      END {
        for (file in files)
          printf "| %s | %d | %d | %d | %d |\n", file, seen[file, "caught"], seen[file, "timeout"],
            seen[file, "missed"], seen[file, "unviable"] | "sort"
        close("sort")
        printf "| all | %d | %d | %d | %d |\n", sum["caught"], sum["timeout"], sum["missed"], sum["unviable"]
      }' caught timeout missed unviable)
    printf '\n%d of %d were tried.\n' "$(cat "$lists"/* | wc -l)" "$all"
    for name in missed timeout unviable; do
      [ -s "$lists/$name" ] || continue
      case $name in
      missed) printf '\n## Missed\n\n' ;;
      timeout) printf '\n## Too slow\n\n' ;;
      unviable) printf '\n## Not viable\n\n' ;;
      esac
      # shellcheck disable=SC2016 # backticks of Markdown
      sed 's,^hostdrv/logic/src/\(.*\): \(.*\)$,- `\1`: `\2`,' "$lists/$name"
    done
  } >$PAGE
  rm -r "$lists"
  say "built: $PAGE"
}

if [ "${1-}" = page ]; then
  page "${@:2}"
  exit
fi

VERSION=$(value MUTANTS_VERSION)
MUTANTS=$TOOLS/mutants/bin/cargo-mutants
if [ "$("$MUTANTS" mutants --version 2>/dev/null)" != "cargo-mutants $VERSION" ]; then
  "$CARGO" install cargo-mutants --version "$VERSION" --locked --force --root "$TOOLS/mutants" --target-dir "$BUILD/mutants"
fi

# Most of the time is compiling: nothing is optimized, although the tests would like it.
how=(--cargo-arg=--config=profile.dev.package.vfio-ap-logic.opt-level=0
  --cargo-arg=--config=profile.dev.debug=0
  --minimum-test-timeout 120 --jobs "$JOBS")
if "$CARGO" nextest --version >/dev/null 2>&1; then
  how+=(--test-tool nextest)
  export NEXTEST_PROFILE=mutants
fi

mkdir -p $OUT
# 2 and 3: mutants that were missed, or ran into the time limit; counted below
status=0
"$MUTANTS" mutants --package vfio-ap-logic --output $OUT --no-shuffle "${how[@]}" "$@" -- --lib --tests || status=$?
[ $status -eq 0 ] || [ $status -eq 2 ] || [ $status -eq 3 ] || die "cargo-mutants ended with $status"
page $OUT/mutants.out
count() { wc -l <"$OUT/mutants.out/$1.txt"; }
noticed=$(($(count caught) + $(count timeout))) missed=$(count missed)
say "mutants of hostdrv/logic: $noticed noticed, $missed missed"
[ $((noticed * 100)) -ge $(((noticed + missed) * 95)) ] || die "fewer than 95 % were noticed"
