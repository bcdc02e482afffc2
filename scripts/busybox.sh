#!/usr/bin/env bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Fetches Debian's static busybox for s390x, which all RAM disks have.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=scripts/apt.sh
. "$ROOT/scripts/apt.sh"

BUSYBOX=$TOOLS/busybox-s390x
if [ -x "$BUSYBOX" ]; then
  say "up to date: busybox"
  exit
fi
tmp=$(mktemp -d "$DL/.busybox.XXXXXX")
(cd "$tmp" && private_apt get download busybox-static/trixie && dpkg-deb -x busybox-static_*.deb .)
cp "$tmp"/usr/bin/busybox "$BUSYBOX.part" 2>/dev/null || cp "$tmp"/bin/busybox "$BUSYBOX.part"
mv "$BUSYBOX.part" "$BUSYBOX" && rm -rf "$tmp"
say "fetched: busybox"
