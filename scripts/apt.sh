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

# Write the configuration, with those architectures of trixie.
private_apt_configure() {
  local dir=$CACHE/apt mirror=$1 trixie=$2 suite
  local signed=signed-by=/usr/share/keyrings/debian-archive-keyring.gpg
  mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
  : >"$dir/status"
  {
    printf 'deb-src [%s] %s trixie main\n' "$signed" "$mirror"
    printf 'deb [%s arch=%s] %s trixie main\n' "$signed" "$trixie" "$mirror"
    for suite in sid experimental; do
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
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
APT::Update::Error-Mode "any";
CONF
}

# Have a configuration, and an index that is not older than a day. apt refuses a
# suite of which one index is broken, as it may be while a mirror is changed;
# trixie's largest is that of packages for all architectures, of which only
# scripts/l1-root.sh takes any. So do without for a while rather than fail.
private_apt_ready() {
  local fresh=$CACHE/apt/fresh mirror key
  mirror=$(debian_mirror)
  [ -n "$mirror" ] || die "apt knows no Debian mirror; run 'apt-get update' first"
  key=$mirror-$(key scripts/apt.sh)
  if up_to_date "$fresh" "$key" && [ -z "$(find "$fresh" -mmin +1440)" ]; then
    return
  fi
  private_apt_configure "$mirror" all,s390x
  if private_apt_update; then
    stamp "$fresh" "$key"
    return
  fi
  private_apt_configure "$mirror" s390x
  private_apt_update || die "Debian's mirror $mirror cannot be read; is the network up?"
  say "NOTICE: the index of trixie's packages for all architectures is broken on $mirror; going on without it"
  stamp "$fresh" "$key"
  # looked at again in an hour
  touch -d '-1380 minutes' "$fresh"
}
private_apt_update() { apt-get -c "$CACHE/apt/apt.conf" update >&2; }

# private_apt get|cache ARGS...: apt-get or apt-cache with that configuration.
private_apt() {
  private_apt_ready
  "apt-$1" -c "$CACHE/apt/apt.conf" "${@:2}"
}
