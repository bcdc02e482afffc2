#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Installs what the build needs: Debian packages by apt, bindgen by cargo,
# meson into a virtual environment in the cache.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"

PACKAGES=(ca-certificates git make gcc libc6-dev xz-utils patch rsync cpio bc flex bison kmod
  python3-venv dpkg-dev pkgconf ninja-build shellcheck openssl
  libglib2.0-dev libpixman-1-dev zlib1g-dev libfdt-dev libslirp-dev libattr1-dev
  libelf-dev libssl-dev qemu-system-data libclang-19-dev clang-19)
# On s390x gcc has these names, too: no cross compiler is one there.
[ "$(uname -m)" = s390x ] || PACKAGES+=(gcc-s390x-linux-gnu libc6-dev-s390x-cross)
# Only where no rustup toolchain serves (see use_rust).
RUST_PACKAGES=(rustc-web cargo-web rust-web-src rust-web-clippy rustfmt-web)

unsupported() {
  say "error: this is not Debian 12 or 13, and these are missing: $*"
  say "Install them by your distribution's means (untested), then run the command again:"
  say "  tools: git make gcc xz patch rsync cpio bc flex bison depmod ninja shellcheck openssl pkg-config python3 (venv)"
  say "  cross: s390x-linux-gnu-gcc with the s390x C library's headers and static libraries"
  say "  clang-19 and libclang 19 in /usr/lib/llvm-19/lib; QEMU's s390-ccw.img in /usr/share/qemu"
  say "  libraries with headers: glib-2.0 pixman-1 zlib libfdt slirp libattr libelf openssl"
  say "  Rust >= 1.96 with rust-src, clippy and rustfmt (rustup), first on PATH"
  say "  sources: QEMU's tarball as $DL/qemu-$(value QEMU_VERSION).tar.xz, Linux unpacked and named by LINUX=/path"
  exit 2
}

debian_packages() {
  local missing=() p sudo=()
  rustup_suffices || PACKAGES+=("${RUST_PACKAGES[@]}")
  for p in "${PACKAGES[@]}"; do
    dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q '^install ok installed' || missing+=("$p")
  done
  [ ${#missing[@]} -gt 0 ] || { say "up to date: ${#PACKAGES[@]} Debian packages" && return; }
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || die "not root and no sudo; as root run: apt-get install ${missing[*]}"
    sudo=(sudo)
  fi
  say "installing: ${missing[*]}"
  "${sudo[@]}" apt-get update || say "note: apt-get update failed; trying with the lists there are"
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" ||
    die "apt-get could not install: ${missing[*]}"
}

other_system() {
  local missing=() t
  for t in git make gcc xz patch rsync cpio bc flex bison depmod ninja shellcheck openssl pkg-config \
    python3 s390x-linux-gnu-gcc clang-19; do
    command -v "$t" >/dev/null || missing+=("$t")
  done
  rustup_suffices || missing+=("rust>=1.96")
  [ ${#missing[@]} -eq 0 ] || unsupported "${missing[@]}"
}

release() { sed -n "s/^$1=\"\{0,1\}\([^\"]*\).*/\1/p" /etc/os-release; }
case "$(release ID)-$(release VERSION_ID)" in
debian-12 | debian-13) debian_packages ;;
*) other_system ;;
esac
use_rust

BINDGEN=$(value BINDGEN_VERSION)
if [ "$("$TOOLS/bindgen/bin/bindgen" --version 2>/dev/null)" != "bindgen $BINDGEN" ]; then
  "$CARGO" install bindgen-cli --version "$BINDGEN" --locked --force --root "$TOOLS/bindgen" --target-dir "$BUILD/bindgen"
fi
MESON=$(value MESON_VERSION)
if [ "$("$TOOLS/meson/bin/meson" --version 2>/dev/null)" != "$MESON" ]; then
  rm -rf "$TOOLS/meson"
  python3 -m venv "$TOOLS/meson"
  "$TOOLS/meson/bin/pip" install -q "meson==$MESON" pycotap tomli ninja distlib setuptools
fi
say "up to date: bindgen $BINDGEN, meson $MESON"
