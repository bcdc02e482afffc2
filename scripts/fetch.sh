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
  if [ -f "$1.substitute" ]; then
    say "note: $(cat "$1.substitute") stands in for $2 $3; trusted by Debian's signed index"
  elif [ -z "$want" ]; then
    say "note: $2 $3 has no hash in versions.mk; trusted by Debian's signed index"
  else
    got=$(sha256sum "$1" | cut -d' ' -f1)
    [ "$got" = "$want" ] || die "checksum mismatch for $2 $3: expected $want, got $got ($1); remove it to fetch it anew"
  fi
}

# keep FILE OUT NAME VERSION [SUBSTITUTE]: verify a download, then let it have
# its name. What stands in for a version gone from the mirror is marked as such.
keep() {
  rm -f "$2.substitute"
  if [ -n "${5-}" ]; then
    say "NOTICE: $3 $4 is gone from the mirror; taking $5 in its place"
    printf '%s\n' "$5" >"$2.substitute"
  else
    verify "$1" "$3" "$4"
  fi
  mv "$1" "$2"
}

# sources PACKAGE TEXT: the first version of a source package with that text.
sources() { private_apt cache madison "$1" | awk -v t="$2" '/Sources/ && index($3, t) { print $3; exit }'; }

qemu() {
  local version=$1 out=$DL/qemu-$1.tar.xz tmp source other=
  [ -f "$out" ] && { verify "$out" QEMU "$version" && say "up to date: QEMU $version" && return; }
  source=$(sources qemu ":$version+")
  [ -n "$source" ] || source=$(sources qemu ":${version%.*}.") other=$source
  [ -n "$source" ] || die "Debian's mirror has no source of QEMU ${version%.*}; put its tarball at $out"
  tmp=$(mktemp -d "$DL/.qemu.XXXXXX")
  (cd "$tmp" && private_apt get source --download-only --tar-only "qemu=$source")
  keep "$tmp"/qemu_*.orig.tar.xz "$out" QEMU "$version" "${other:+qemu $other}"
  rm -rf "$tmp"
  say "fetched: QEMU $version"
}

# The pinned version, else the newest of its series, else of the newest series.
versions() { private_apt cache madison "$1" | awk '{ print $3 }' | sort -Vu; }
linux() {
  local version=$1 name newest tmp deb out package other='' have
  name=linux-source-$(cut -d. -f1,2 <<<"${version%%[~-]*}")
  out=$BUILD/linux-$version/src
  [ -d "$out" ] && { say "up to date: Linux $version" && return; }
  deb=$DL/linux-source-$version.deb
  if [ -f "$deb" ]; then
    verify "$deb" LINUX "$version"
  else
    have=$(versions "$name")
    if [ -z "$have" ]; then
      newest=$(private_apt cache pkgnames linux-source- | grep -E '^linux-source-[0-9.]+$' | sort -V | tail -n 1)
      printf '%s\n' "$name" "$newest" | sort -VC ||
        die "Debian's mirror has no $name nor a later one; put its package at $deb"
      name=$newest have=$(versions "$name")
    fi
    package=$(grep -E "^$version([-~+]|\$)" <<<"$have" | tail -n 1) || true
    [ -n "$package" ] || package=$(tail -n 1 <<<"$have") other=$package
    tmp=$(mktemp -d "$DL/.linux.XXXXXX")
    (cd "$tmp" && private_apt get download "$name=$package")
    keep "$tmp"/linux-source-*.deb "$deb" LINUX "$version" "${other:+$name $other}"
    rm -rf "$tmp"
  fi
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
