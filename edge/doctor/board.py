"""Power, heat, memory and clock of the board."""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone
from pathlib import Path

from edge.doctor.host import Finding, Host, absent, ok, warning, wrong

UNDER_VOLTAGE = 0x1_0001
# Source: Raspberry Pi documentation, "Frequency management": throttles from 80 °C, hard at 85 °C.
WARM_C, HOT_C = 80.0, 85.0
SHORT_MIB = 40
COOLING = "a heat sink or fan, shade, or a lower rate_hz and fewer [model] threads"
SUPPLY = "use the maker's own power supply and a short thick cable (Pi 5: 27 W, Pi 4: 15 W)"


def _throttled(host: Host) -> int | None:
    from edge.sensors import Sensors  # noqa: PLC0415 - needs msgspec, whose lack is a finding

    bits = Sensors(host.root, path=host.path).read_all(0.0, power=False).throttled
    for folder in host.glob("sys/class/hwmon/hwmon*"):
        # Source: drivers/hwmon/raspberrypi-hwmon.c of Linux, which asks every 2 s.
        if host.text(folder / "name") == "rpi_volt":
            alarm = host.text(folder / "in0_lcrit_alarm")
            bits = (bits or 0) | (alarm == "1")
    return bits


def power(host: Host) -> Finding:
    """Look for a supply that is too weak, now or since the boot."""
    bits = _throttled(host)
    # Source: NVIDIA Jetson Linux guide, "Over-current event status".
    events = [host.text(path) for path in host.glob("sys/class/hwmon/hwmon*/oc*_event_cnt")]
    if total := sum(int(text) for text in events if text.isdigit()):
        mend = "sudo nvpmodel -q names the power mode; choose a lower one: sudo nvpmodel -m 1"
        return warning(f"{total} over-current events since the boot", mend)
    if bits is None:
        return ok("no over-current event") if events else absent("this board tells nothing of it")
    if bits & UNDER_VOLTAGE:
        is_now = bits & UNDER_VOLTAGE & 0xFFFF
        state = wrong if is_now else warning
        said = f"under-voltage {'now' if is_now else 'since the boot'}"
        return state(f"{said} ({bits:#x})", SUPPLY)
    return ok(f"no under-voltage ({bits:#x})")


def throttling(host: Host) -> Finding:
    """Look whether the board has slowed its clocks down."""
    from edge.sensors import throttle_words  # noqa: PLC0415

    bits = _throttled(host)
    if bits is None:
        return absent("this board tells nothing of it")
    if words := throttle_words(bits & ~UNDER_VOLTAGE):
        return warning(", ".join(words), COOLING)
    return ok("never since the boot")


def temperature(host: Host) -> Finding:
    """Look at the hottest part of the board."""
    from edge.sensors import Sensors  # noqa: PLC0415

    found = Sensors(host.root, path="").read(0.0).temperature_c
    if found is None:
        return absent("no temperature sensor")
    if found >= WARM_C:
        return (wrong if found >= HOT_C else warning)(f"{found:.0f} °C", COOLING)
    return ok(f"{found:.0f} °C")


def governor(host: Host) -> Finding:
    """Look at how the clocks follow the load."""
    from edge.sensors import governors  # noqa: PLC0415

    found = governors(host.root)
    if not found:
        return absent("the clocks are not Linux's business here")
    if "powersave" in found:
        mend = "echo ondemand | sudo tee /sys/devices/system/cpu/cpufreq/policy*/scaling_governor; "
        return warning(
            "powersave", f"{mend}for good: cpufreq.default_governor=ondemand in cmdline.txt"
        )
    return ok(", ".join(found))


def memory(host: Host) -> Finding:
    """Look at memory that is left, and whether swap lies on a card."""
    sizes = dict(re.findall(r"^(\w+):\s+(\d+) kB$", host.text("proc/meminfo"), re.MULTILINE))
    if "MemAvailable" not in sizes:
        return absent("Linux does not say")
    free, total = (int(sizes[key]) // 1024 for key in ("MemAvailable", "MemTotal"))
    said = f"{free} of {total} MiB free"
    if free < SHORT_MIB:
        mend = "top -o %MEM names who has it; a board without a desktop has 300 MiB more"
        return warning(said, mend)
    swaps = [line.split()[0] for line in host.text("proc/swaps").splitlines()[1:]]
    on_card = [name for name in swaps if not name.startswith("/dev/zram")]
    is_card = bool(host.glob("sys/block/mmcblk*"))
    if on_card and is_card:
        mend = f"sudo swapoff {on_card[0]}; for good: sudo systemctl disable dphys-swapfile"
        return warning(f"{said}; swap on {on_card[0]}, which wears the card out", mend)
    return ok(f"{said}, swap {', '.join(swaps) or 'none'}")


def memory_limit(host: Host) -> Finding:
    """Look whether a unit's MemoryMax holds at all."""
    controllers = host.text("sys/fs/cgroup/cgroup.controllers").split()
    version_1 = re.search(r"^memory\s+\d+\s+\d+\s+1$", host.text("proc/cgroups"), re.MULTILINE)
    if "memory" in controllers or version_1:
        return ok("limits of memory hold")
    if not host.glob("sys/fs/cgroup/*"):
        return absent("no cgroups here")
    mend = "sudo sed -i '1 s/$/ cgroup_enable=memory cgroup_memory=1/' /boot/firmware/cmdline.txt"
    return warning("the memory cgroup is off, as in Raspberry Pi OS", f"{mend} && sudo reboot")


def clock(host: Host) -> Finding:
    """Look whether the clock is right: TLS and the times of messages stand on it."""
    now_s = time.time()
    said = datetime.fromtimestamp(now_s, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    mend = "timedatectl; sudo timedatectl set-ntp true; behind a firewall name a server of your "
    mend += "own in /etc/systemd/timesyncd.conf"
    built_s = Path(__file__).stat().st_mtime
    if now_s < built_s:
        return wrong(f"{said}, before this program was installed", mend)
    is_synced = (host.root / "run/systemd/timesync/synchronized").exists()
    if is_synced or "yes" in host.ask("timedatectl", "show", "-P", "NTPSynchronized"):
        return ok(f"{said}, synchronised")
    if not host.glob("run/systemd/*"):
        return absent(f"{said}; no systemd that would tell")
    return warning(f"{said}, not synchronised", mend)
