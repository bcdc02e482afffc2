# SPDX-License-Identifier: MIT OR Apache-2.0
# Sourced: apt with a configuration of our own, so that suites and
# architectures the system does not have can be read without touching it.
# shellcheck shell=bash

# The mirror the system itself uses for Debian.
debian_mirror() {
  # shellcheck disable=SC2016 # apt expands it, not the shell
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' |
    sort | head -n 1
}

# Write the configuration; refresh the index when it is a day old or another
# configuration's.
private_apt_ready() {
  local dir=$CACHE/apt mirror signed key
  mirror=$(debian_mirror)
  [ -n "$mirror" ] || die "apt knows no Debian mirror; run 'apt-get update' first"
  signed="signed-by=/usr/share/keyrings/debian-archive-keyring.gpg"
  mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
  : >"$dir/status"
  {
    printf 'deb-src [%s] %s trixie main\n' "$signed" "$mirror"
    for suite in trixie sid experimental; do
      printf 'deb [%s arch=all,s390x] %s %s main\n' "$signed" "$mirror" "$suite"
    done
  } >"$dir/sources.list"
  cat >"$dir/apt.conf" <<CONF
Dir::Etc::sourcelist "$dir/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::lists "$dir/lists";
Dir::State::status "$dir/status";
Dir::Cache "$dir/cache";
APT::Architecture "s390x";
APT::Architectures { "s390x"; };
APT::Get::Assume-Yes "true";
APT::Sandbox::User "root";
Acquire::Retries "3";
Acquire::http::Timeout "20";
Acquire::Languages "none";
APT::Update::Error-Mode "any";
CONF
  key=$(cat "$dir/sources.list" "$dir/apt.conf" | sha256sum)
  if ! up_to_date "$dir/fresh" "$key" || [ -n "$(find "$dir/fresh" -mmin +1440)" ]; then
    apt-get -c "$dir/apt.conf" update >&2 || die "Debian's mirror $mirror cannot be read; is the network up?"
    stamp "$dir/fresh" "$key"
  fi
}

# private_apt get|cache ARGS...: apt-get or apt-cache with that configuration.
private_apt() {
  private_apt_ready
  "apt-$1" -c "$CACHE/apt/apt.conf" "${@:2}"
}

# debian_kernel SERIES: the packages of the newest kernel of that series that
# was downloaded; if there is none, of Debian's newest. Image and modules are
# in one package, or in one each that the image's needs.
debian_kernel() {
  local release tmp known
  if [ -z "$(kernel_packages "$1")" ]; then
    known=$(private_apt cache search --names-only "^linux-(image|binary|modules)-${1//./\\.}\..*-s390x\$" | cut -d' ' -f1)
    release=$(sed -n 's/^linux-image-//p' <<<"$known" | sort -V | tail -n 1)
    [ -n "$release" ] || die "Debian's mirror has no linux-image-$1 for s390x"
    tmp=$(mktemp -d "$DL/.linux.XXXXXX")
    # shellcheck disable=SC2046 # a list of names
    (cd "$tmp" && private_apt get download $(grep -E "^linux-[a-z]+-${release//+/\\+}\$" <<<"$known") >&2) ||
      die "Debian's linux-image-$release cannot be downloaded"
    mv "$tmp"/*.deb "$DL/" && rmdir "$tmp"
  fi
  kernel_packages "$1"
}
kernel_packages() {
  local image
  image=$(find "$DL" -maxdepth 1 -name "linux-image-$1.*_s390x.deb" | sort -V | tail -n 1)
  [ -z "$image" ] || ls "$DL"/linux-{image,binary,modules}"${image#"$DL"/linux-image}" 2>/dev/null || true
}
