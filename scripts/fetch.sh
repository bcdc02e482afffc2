#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Fetches the pinned sources into the cache: fetch.sh qemu|linux.
# A pinned file is verified by versions.mk, any other by the signed index of
# the Debian suite it comes from. Nothing is kept under its name unverified.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"

# verify FILE NAME VERSION: against the pinned hash, if there is one.
verify() {
  local want got
  want=$(pinned_sha256 "$2" "$3")
  [ -n "$want" ] || { say "note: $2 $3 has no hash in versions.mk; trusted by Debian's signed index" && return; }
  got=$(sha256sum "$1" | cut -d' ' -f1)
  [ "$got" = "$want" ] || die "checksum mismatch for $2 $3: expected $want, got $got ($1)"
}

qemu() {
  local version=$1 out=$DL/qemu-$1.tar.xz tmp source
  [ -f "$out" ] && { verify "$out" QEMU "$version" && say "up to date: QEMU $version" && return; }
  tmp=$(mktemp -d "$DL/.qemu.XXXXXX")
  source=$(private_apt cache madison qemu | awk -v v=":$version+" 'index($3, v) && /Sources/ { print $3; exit }')
  [ -n "$source" ] || die "Debian's mirror has no source of QEMU $version; put its tarball at $out"
  (cd "$tmp" && private_apt get source --download-only --tar-only "qemu=$source")
  verify "$tmp"/qemu_*.orig.tar.xz QEMU "$version"
  mv "$tmp"/qemu_*.orig.tar.xz "$out" && rm -rf "$tmp"
  say "fetched: QEMU $version"
}

# The pinned version, else the newest of its series, said loudly.
linux() {
  local version=$1 series tmp deb out package have
  series=$(cut -d. -f1,2 <<<"${version%%[~-]*}")
  out=$BUILD/linux-$version/src
  [ -d "$out" ] && { say "up to date: Linux $version" && return; }
  deb=$DL/linux-source-$version.deb
  if [ ! -f "$deb" ]; then
    tmp=$(mktemp -d "$DL/.linux.XXXXXX")
    have=$(private_apt cache madison "linux-source-$series" | awk '{ print $3 }' | sort -Vu)
    [ -n "$have" ] || die "Debian's mirror has no linux-source-$series; put its package at $deb"
    package=$(grep -E "^$version([-~+]|\$)" <<<"$have" | tail -n 1) || true
    if [ -z "$package" ]; then
      package=$(tail -n 1 <<<"$have")
      say "NOTICE: Linux $version is gone from the mirror; taking $package in its place"
    fi
    (cd "$tmp" && private_apt get download "linux-source-$series=$package")
    [[ $package != "$version"* ]] || verify "$tmp"/linux-source-*.deb LINUX "$version"
    mv "$tmp"/linux-source-*.deb "$deb" && rm -rf "$tmp"
  fi
  verify "$deb" LINUX "$version"
  rm -rf "$out.part" && mkdir -p "$out.part"
  dpkg-deb --fsys-tarfile "$deb" | tar xO --wildcards './usr/src/linux-source-*.tar.xz' |
    tar xJ -C "$out.part" --strip-components=1
  mv "$out.part" "$out"
  say "fetched: Linux $version"
}

# shellcheck source=scripts/apt.sh
. "$ROOT/scripts/apt.sh"
find "$DL" -maxdepth 1 \( -name '.qemu.*' -o -name '.linux.*' \) -exec rm -rf {} +
case ${1-} in
qemu) qemu "$(value QEMU_VERSION)" ;;
linux) [ -n "${LINUX-}" ] || linux "$(value LINUX_VERSION)" ;;
*) die "usage: fetch.sh qemu|linux" 2 ;;
esac
