#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# /init of the Linux guest: tells the AP bus's masks at start and after every
# change, as the bare-metal probe does, and runs one check of the devices.
#   wait-changes=N  power off after so many changes
#   exit-after=S    power off after so many seconds
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
exec >/dev/console 2>&1

changes=0 limit=60
# shellcheck disable=SC2013 # the command line is words
for word in $(cat /proc/cmdline); do
  case $word in
  wait-changes=*) changes=${word#*=} ;;
  exit-after=*) limit=${word#*=} ;;
  esac
done

bus=/sys/bus/ap
masks() {
  printf '"apm":"%s","aqm":"%s","adm":"%s"' "$(cat $bus/ap_adapter_mask)" \
    "$(cat $bus/ap_usage_domain_mask)" "$(cat $bus/ap_control_domain_mask)"
}
tell() {
  printf '{"op":"QCI","seq":%d,%s}\n' "$1" "$2"
}

[ -e $bus/ap_adapter_mask ] || { echo '{"op":"error","text":"no AP bus"}' && poweroff -f; }
shown=$(masks) seq=0
tell 0 "$shown"
# The bus tells of new devices by uevents, but not of a control domain; its
# masks are cheap to read.
end=$(($(date +%s) + limit))
while [ $seq -lt "$changes" ] && [ "$(date +%s)" -lt $end ]; do
  now=$(masks)
  if [ "$now" != "$shown" ]; then
    shown=$now seq=$((seq + 1))
    tell $seq "$now"
  fi
  usleep 20000
done
poweroff -f
