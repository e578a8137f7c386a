#!/bin/busybox sh
# shellcheck shell=dash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The first program of a virtual machine: it loads the modules of its disk, and hands over to systemd there.
busybox=/bin/busybox
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sys /sys
$busybox mount -t devtmpfs dev /dev
for module in /modules/*; do
    $busybox insmod "$module" || echo "$module could not be loaded"
done
tries=0
while [ ! -b /dev/vda ] && [ $tries -lt 200 ]; do
    $busybox sleep 0.05
    tries=$((tries + 1))
done
$busybox mount -t ext4 /dev/vda /root || $busybox poweroff -f
$busybox umount /proc
$busybox umount /sys
$busybox mount --move /dev /root/dev
exec $busybox switch_root /root /sbin/init
