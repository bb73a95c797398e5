#!/bin/bash
# Process 1 of a host: mounts what is the host's own, then waits for its end.
#   host.sh NAME DIRECTORY SOURCE:TARGET...
set -euo pipefail

name=$1
directory=$2
shift 2

hostname "$name"
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /run/libvirt
install -d -o mysql /run/mysqld
for pair in "$@"; do
    # Not every machine has each of them.
    [ ! -e "${pair#*:}" ] || mount --bind "${pair%%:*}" "${pair#*:}"
done
ip link set lo up
touch "$directory/ready"

trap 'exit 0' TERM
while :; do
    sleep 3600 &
    wait $!
done
