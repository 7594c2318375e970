#!/bin/sh
# A line for the test every few seconds, on the console: nothing is written to the card.
disk=vda
[ -e /sys/block/mmcblk0 ] && disk=mmcblk0
echo "PROBE model $(tr -d '\0' </proc/device-tree/model) pages $(getconf PAGESIZE) python $(python3 -V)"
while sleep 5; do
    pid=$(systemctl show -P MainPID edge 2>/dev/null)
    set -- $(cat /sys/block/$disk/stat)
    echo "PROBE up $(cut -d' ' -f1 /proc/uptime) written $7 pid ${pid:-0}" \
        "rss $(sed -n 's/VmRSS: *\([0-9]*\).*/\1/p' "/proc/${pid:-0}/status" 2>/dev/null)" \
        "restarts $(systemctl show -P NRestarts edge) state $(systemctl show -P ActiveState edge)" \
        "health $(cat /run/edge/health.json 2>/dev/null)"
done
