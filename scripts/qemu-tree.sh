#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Makes QEMU source trees out of the pinned tarball and qemu-patches/.
#   qemu-tree.sh pristine     the tarball, unpacked in the cache
#   qemu-tree.sh export DIR [N]  pristine + new files + the first N patches, or
#                             all, plain files; a file that did not change
#                             keeps its time stamp
#   qemu-tree.sh edit         a git work tree in target/qemu-edit, one commit
#                             a patch, on top of the tag `base`
#   qemu-tree.sh refresh      writes that tree's commits back to qemu-patches/
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"

VERSION=$(value QEMU_VERSION)
PRISTINE=$BUILD/qemu-$VERSION/pristine
PATCHES=$ROOT/qemu-patches
EDIT=$OUTPUT/qemu-edit
series() { sed -e 's/#.*//' -e '/^\s*$/d' "$PATCHES/series"; }
git_edit() { git -C "$EDIT" "$@"; }

pristine() {
  [ -d "$PRISTINE" ] && return
  mkdir -p "$PRISTINE.part"
  tar xf "$DL/qemu-$VERSION.tar.xz" -C "$PRISTINE.part" --strip-components=1
  mv "$PRISTINE.part" "$PRISTINE"
}

export_tree() {
  local dir=$1 stage=$1.stage count=${2:-9999}
  rm -rf "$stage" && mkdir -p "$stage" "$dir"
  cp -a "$PRISTINE/." "$stage/"
  cp -a "$PATCHES/files/." "$stage/"
  series | awk -v n="$count" 'NR <= n' | while read -r patch; do
    patch -d "$stage" -p1 --fuzz=0 --no-backup-if-mismatch -s <"$PATCHES/$patch" ||
      die "$patch does not apply to QEMU $VERSION"
  done
  # The library's files are put there by the build, not by the series.
  rsync -rlpc --delete --exclude=/subprojects/ap-device/libap_device.a \
    --exclude=/subprojects/ap-device/ap_device.h --exclude=__pycache__ "$stage/" "$dir/"
  rm -rf "$stage"
}

edit() {
  if [ -d "$EDIT" ]; then
    say "target/qemu-edit exists and is left as it is; remove it to start anew"
    return
  fi
  rm -rf "$EDIT.part" && mkdir -p "$EDIT.part"
  cp -a "$PRISTINE/." "$EDIT.part/"
  mv "$EDIT.part" "$EDIT.wip"
  EDIT=$EDIT.wip
  git_edit init -q -b main
  # the series has one author, whoever commits there
  git_edit config user.name vfio-ap-rs && git_edit config user.email vfio-ap-rs@localhost
  git_edit add -Af && git_edit commit -qm "QEMU $VERSION" && git_edit tag pristine
  cp -a "$PATCHES/files/." "$EDIT/"
  git_edit add -Af && git_edit commit -qm "New files" && git_edit tag base
  # The library is copied in by the build and is nobody's edit.
  printf '/subprojects/ap-device/libap_device.a\n/subprojects/ap-device/ap_device.h\n' \
    >>"$EDIT/.git/info/exclude"
  series | while read -r patch; do
    git_edit am -q "$PATCHES/$patch" || die "$patch does not apply to QEMU $VERSION"
  done
  mv "$EDIT" "${EDIT%.wip}"
  say "edit and commit in target/qemu-edit; 'make qemu FROM=edit' builds it, 'make qemu-refresh' writes the series"
}

refresh() {
  [ -d "$EDIT/.git" ] || die "there is no target/qemu-edit; 'make qemu-edit' makes one"
  [ -z "$(git_edit status --porcelain)" ] ||
    die "target/qemu-edit has uncommitted changes; commit them (or amend a commit) first"
  local out=$PATCHES.new
  rm -rf "$out" && mkdir -p "$out/files"
  # A file QEMU does not have is kept whole; only hooks become patches.
  git_edit diff --name-only --diff-filter=A pristine HEAD | rsync -a --files-from=- "$EDIT/" "$out/files/"
  local added=()
  mapfile -t added < <(git_edit diff --name-only --diff-filter=A pristine HEAD | sed 's/^/:(exclude)/')
  git_edit format-patch -q -N --zero-commit --no-signature --no-stat --abbrev=12 -o "$out" base..HEAD -- . "${added[@]}"
  find "$out" -maxdepth 1 -name '*.patch' -size 0 -delete
  find "$out" -maxdepth 1 -name '*.patch' -printf '%f\n' | sort >"$out/series"
  rm -f "$PATCHES"/*.patch
  rsync -a --delete "$out/files/" "$PATCHES/files/"
  cp "$out"/*.patch "$out/series" "$PATCHES/"
  rm -rf "$out"
  say "wrote $(wc -l <"$PATCHES/series") patches and $(find "$PATCHES/files" -type f | wc -l) files to qemu-patches/"
}

pristine
case ${1-} in
pristine) ;;
export) export_tree "${@:2}" ;;
edit) edit ;;
refresh) refresh ;;
*) die "usage: qemu-tree.sh pristine | export DIR [N] | edit | refresh" 2 ;;
esac
