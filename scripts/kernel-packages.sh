# SPDX-License-Identifier: MIT OR Apache-2.0
# Sourced: Debian's own s390x kernels, as packages in the cache.
# shellcheck shell=bash
# shellcheck source=scripts/apt.sh
. "$ROOT/scripts/apt.sh"

# debian_kernel SERIES: the packages of the newest kernel of that series that
# was downloaded; if there is none, of the newest that Debian's mirror has: its
# index may name one that is not there yet, or no more. Image and modules are in
# one package, or in one each that the image's needs.
debian_kernel() {
  local release releases known
  if [ -z "$(kernel_packages "$1")" ]; then
    known=$(private_apt cache search --names-only "^linux-(image|binary|modules)-${1//./\\.}\..*-s390x\$" | cut -d' ' -f1)
    releases=$(sed -n 's/^linux-image-//p' <<<"$known" | sort -rV)
    [ -n "$releases" ] || die "Debian's mirror has no linux-image-$1 for s390x"
    for release in $releases; do
      # shellcheck disable=SC2046 # a list of names
      if download $(grep -E "^linux-[a-z]+-${release//+/\\+}\$" <<<"$known"); then break; fi
      say "NOTICE: linux-image-$release is in the index of Debian's mirror, but cannot be downloaded"
    done
    [ -n "$(kernel_packages "$1")" ] || die "none of Debian's linux-image-$1 can be downloaded: $releases"
  fi
  kernel_packages "$1"
}
# download PACKAGE...: into the cache, all or none.
download() {
  local tmp status=0
  tmp=$(mktemp -d "$DL/.linux.XXXXXX")
  (cd "$tmp" && private_apt get download "$@" >&2) && mv "$tmp"/*.deb "$DL/" || status=1
  rm -rf "$tmp"
  return $status
}
kernel_packages() {
  local image
  image=$(find "$DL" -maxdepth 1 -name "linux-image-$1.*_s390x.deb" | sort -V | tail -n 1)
  [ -z "$image" ] || ls "$DL"/linux-{image,binary,modules}"${image#"$DL"/linux-image}" 2>/dev/null || true
}
