#!/bin/busybox sh
# The initial RAM disk of the emulated board: modules in order, the root by its PARTUUID, then systemd.
B=/bin/busybox
$B mount -t proc proc /proc
$B mount -t sysfs sysfs /sys
$B mount -t devtmpfs dev /dev
for module in /modules/*; do $B insmod "$module" 2>/dev/null; done
wanted=$($B sed -n 's/.*root=PARTUUID=[0-9a-f]*-0*\([0-9]*\).*/\1/p' /proc/cmdline)
tries=0
while :; do
    for disk in vda mmcblk0 mmcblk1; do
        for part in "/dev/$disk$wanted" "/dev/${disk}p$wanted"; do
            [ -b "$part" ] && $B mount -t ext4 -o ro "$part" /root && break 3
        done
    done
    tries=$((tries + 1))
    [ $tries = 300 ] && echo "initrd: no root" && exec $B sh
    $B sleep 0.1
done
for folder in proc sys dev; do $B mount --move /$folder /root/$folder; done
exec $B switch_root /root /usr/lib/systemd/systemd
