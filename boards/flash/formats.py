"""What an image reads at its first boot: told by its boot partition's files, not guessed.

Sources: raspberrypi/rpi-imager, doc/os_customisation_formats.md; RPi-Distro/pi-gen,
stage2/04-cloud-init; raspberrypi/rpi-preseed, doc/rpi-preseed.5; cloud-init, "NoCloud".
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from edge.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Callable

    from boards.flash.answers import Settings
    from boards.flash.fat import Fat

MOUNTED = "/boot/firmware"  # where the boot partition is at run time, since Debian 12
FIRSTBOOT = f"{MOUNTED}/edge/firstboot.sh"
# cloud-init may come before the boot partition is mounted, and nothing tells it to wait.
WAIT_AND_BEGIN = f"""\
for second in $(seq 30); do
[ ! -e {FIRSTBOOT} ] || exec sh {FIRSTBOOT}
systemctl start boot-firmware.mount || mount {MOUNTED}
sleep 1
done
echo 'edge-vision: expected {FIRSTBOOT}, found none'"""
BOOKWORM, TRIXIE = "2023-10-10", "2025-10-01"  # of Raspberry Pi OS, the first release of each
PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}
OF_32_BITS = {"kernel.img", "kernel7.img", "kernel7l.img"}
RUN_ONCE = (
    f"systemd.run={MOUNTED}/firstrun.sh",
    "systemd.run_success_action=reboot",
    "systemd.unit=kernel-command-line.target",
)


@dataclass(frozen=True, slots=True)
class System:
    """What an image is.

    Attributes:
        format: A row of `FORMATS`.
        title: For people.
        python: Version of its own Python; empty where the boot partition doesn't tell.
    """

    format: str
    title: str
    python: str = ""


def detect(fat: Fat) -> System:
    """Tell what an image is by its boot partition.

    Raises:
        BoardError: It's of 32 bits, or older than Debian 12, or in no format that is known.
    """
    names = {name.lower() for name in fat.names()}
    if names & OF_32_BITS:
        raise BoardError(
            "expected an image of 64 bits, found one of 32: its boot partition has "
            f"{', '.join(sorted(names & OF_32_BITS))}; choose Raspberry Pi OS (64-bit)"
        )
    issue = _text(fat, "issue.txt")
    dated = re.search(r"Raspberry Pi reference (\d{4}-\d\d-\d\d)", issue)
    date = dated[1] if dated else ""
    title = f"Raspberry Pi OS of {date}" if date else "an image with cloud-init"
    if "rpi-preseed.toml" in names or "rpi_preseed.config=" in _text(fat, "cmdline.txt"):
        return System("rpi-preseed", f"Raspberry Pi OS of {date or 'an unknown date'}")
    if "user-data" in names:
        is_pi = bool(date) or "rpios" in _text(fat, "meta-data")
        return (
            System("cloudinit-rpi", title, PYTHONS["trixie"])
            if is_pi
            else System("cloudinit", title)
        )
    if date >= BOOKWORM:
        return System("systemd", title, PYTHONS["bookworm"] if date < TRIXIE else "")
    raise BoardError(
        f"expected an image of Raspberry Pi OS since {BOOKWORM} or one with cloud-init, found "
        + (
            f"{title}, too old"
            if date
            else "no user-data, rpi-preseed.toml or issue.txt on its FAT"
        )
        + "; choose another, or start it and install with: sudo edge install"
    )


def _text(fat: Fat, name: str) -> str:
    return fat.read(name).decode(errors="replace") if name in fat else ""


def first_boot(system: System, settings: Settings) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return the files of the first boot, and what is added to the kernel's command line."""
    files, words = FORMATS[system.format](settings)
    if settings.wifi_country:
        words = (f"cfg80211.ieee80211_regdom={settings.wifi_country}", *words)
    return {name: text.encode() for name, text in files.items()}, words


def with_words(line: str, words: tuple[str, ...]) -> str:
    """Return a kernel's command line with more words; one that sets the same goes."""
    keys = {word.partition("=")[0] for word in words} - {"cgroup_enable"}
    kept = [word for word in line.split() if word.partition("=")[0] not in keys]
    kept = [word for word in kept if word != "cgroup_disable=memory"]
    return " ".join([*kept, *(word for word in words if word not in kept)]) + "\n"


Written = tuple[dict[str, str], tuple[str, ...]]


def _cloudinit(settings: Settings, *, of_pi: bool = False) -> Written:
    """For cloud-init; its YAML is written as JSON, which any text can stand in."""
    user = {
        # In the plural without `default` a user loses the groups (rpi-imager#1601).
        "name": settings.user,
        "lock_passwd": not settings.password_hash,
        # Left out, the image's own would hold, which asks for no password.
        "sudo": "ALL=(ALL) NOPASSWD:ALL" if settings.ssh_keys else None,
        "shell": "/bin/bash",
    }
    user |= {"ssh_authorized_keys": list(settings.ssh_keys)} if settings.ssh_keys else {}
    user |= {"passwd": settings.password_hash} if settings.password_hash else {}
    commands = [["rfkill", "unblock", "wifi"]] if of_pi and settings.wifi else []
    commands += [["systemctl", "enable", "--now", "ssh"]] if settings.user else []
    data: dict[str, Any] = {
        "hostname": settings.hostname,
        "manage_etc_hosts": bool(settings.hostname),
        "timezone": settings.timezone,
        "user": user if settings.user else {},
        "enable_ssh": of_pi and bool(settings.user),
        "runcmd": commands,
        # At every boot: of `runcmd` it notes that it ran before it runs, and a power cut in it
        # would be the end of the first boot.
        "bootcmd": [["sh", "-c", WAIT_AND_BEGIN]],
    }
    told: dict[str, Any] = {key: value for key, value in data.items() if value}
    told |= {"ssh_pwauth": not settings.ssh_keys} if settings.user else {}
    files = {
        "user-data": "#cloud-config\n" + _json(told),
        # The first is cloud-init's own word, the second that of Raspberry Pi OS.
        "meta-data": _json({"instance-id": settings.instance, "instance_id": settings.instance}),
    }
    if settings.wifi:
        files["network-config"] = _json({"network": _network(settings)})
    return files, (f"ds=nocloud;i={settings.instance}",)


def _network(settings: Settings) -> dict[str, Any]:
    open_network = {"auth": {"key-management": "none"}}
    point = {"password": settings.wifi_key} if settings.wifi_key else open_network
    wifi = {"dhcp4": True, "optional": True, "access-points": {settings.wifi: point}}
    if settings.wifi_country:
        wifi["regulatory-domain"] = settings.wifi_country
    return {
        "version": 2,
        "ethernets": {"eth0": {"dhcp4": True, "optional": True}},
        "wifis": {"wlan0": wifi},
    }


def _systemd(settings: Settings) -> Written:
    """A script that systemd runs once, in a boot of its own; then it erases itself."""
    host, zone = shlex.quote(settings.hostname), shlex.quote(settings.timezone)
    lines = ["#!/bin/bash", "# Read as a whole before it runs, since it erases itself.", "{"]
    if settings.hostname:
        lines += [f"echo {host} >/etc/hostname", "sed -i '/^127.0.1.1/d' /etc/hosts"]
        lines += [f"echo 127.0.1.1 {host} >>/etc/hosts"]
    lines += _user(settings)
    if settings.timezone:
        lines += [
            f"ln -sf /usr/share/zoneinfo/{zone} /etc/localtime",
            f"echo {zone} >/etc/timezone",
        ]
    if settings.wifi:
        lines += _network_manager(settings)
    words = "; ".join(f"s# {word}##".replace(".", r"\.") for word in RUN_ONCE)
    lines += [
        f"sh {FIRSTBOOT} enable",
        f"sed -i '{words}' {MOUNTED}/cmdline.txt",
        f"shred -u -n 1 {MOUNTED}/firstrun.sh || rm -f {MOUNTED}/firstrun.sh",
        "sync",
        "exit 0",
        "}",
    ]
    return {"firstrun.sh": "\n".join(lines) + "\n"}, RUN_ONCE


def _user(settings: Settings) -> list[str]:
    """Return the lines that make the first user, and say how that one logs in."""
    if not settings.user:
        return []
    user, secret = shlex.quote(settings.user), shlex.quote(settings.password_hash or "!")
    by_password = "no" if settings.ssh_keys else "yes"
    lines = [
        "if [ -x /usr/lib/userconf-pi/userconf ]; then",
        f"  /usr/lib/userconf-pi/userconf {user} {secret}",
        f"else id {user} || useradd -m -s /bin/bash -G video,sudo {user}",
        f"  usermod -p {secret} {user}; fi",
        "mkdir -p /etc/ssh/sshd_config.d",
        f"echo PasswordAuthentication {by_password} >/etc/ssh/sshd_config.d/10-edge.conf",
        "systemctl enable ssh",
    ]
    if settings.ssh_keys:
        keys = shlex.quote("\n".join(settings.ssh_keys) + "\n")
        lines += [
            f"home=$(getent passwd {user} | cut -d: -f6)",
            f'install -d -m 700 -o {user} -g {user} "$home/.ssh"',
            f'printf %s {keys} >"$home/.ssh/authorized_keys"',
            f'chown {user}: "$home/.ssh/authorized_keys"; chmod 600 "$home/.ssh/authorized_keys"',
            f"echo {user} 'ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/010_edge",
            "chmod 440 /etc/sudoers.d/010_edge",
        ]
    return lines


def _network_manager(settings: Settings) -> list[str]:
    path = "/etc/NetworkManager/system-connections/edge.nmconnection"
    name = ";".join(map(str, settings.wifi.encode())) + ";"  # bytes: any name can be said so
    text = f"[connection]\nid=edge\ntype=wifi\n[wifi]\nmode=infrastructure\nssid={name}\n"
    if settings.wifi_key:
        text += f"[wifi-security]\nkey-mgmt=wpa-psk\npsk={settings.wifi_key}\n"
    text += "[ipv4]\nmethod=auto\n[ipv6]\nmethod=auto\n"
    return [
        f"install -D -m 600 /dev/null {path}",
        f"printf %s {shlex.quote(text)} >{path}",
        *(
            [f"raspi-config nonint do_wifi_country {settings.wifi_country}"]
            * bool(settings.wifi_country)
        ),
        "rfkill unblock wifi",
    ]


def _preseed(settings: Settings) -> Written:
    tables: dict[str, dict[str, Any]] = {
        "system": {"hostname": settings.hostname},
        "user": {
            "name": settings.user,
            "password": settings.password_hash,
            "password_encrypted": bool(settings.password_hash),
            "passwordless_sudo": bool(settings.ssh_keys),
        },
        "ssh": {
            "enabled": bool(settings.user),
            "password_authentication": bool(settings.user) and not settings.ssh_keys,
            "authorized_keys": list(settings.ssh_keys),
        },
        "wlan": {
            "ssid": settings.wifi,
            "password": settings.wifi_key,
            "password_encrypted": bool(settings.wifi_key),
            "country": settings.wifi_country,
        },
        "locale": {"timezone": settings.timezone},
        "runcmd": {"early": [f"sh {FIRSTBOOT}"]},
    }
    lines = ['config_version = "1.0"']
    for name, fields in tables.items():
        # As rpi-preseed reads it: it knows two escapes, of a quote and of itself.
        said = {
            key: json.dumps(value, ensure_ascii=False) for key, value in fields.items() if value
        }
        rows = [f"{key} = {value}" for key, value in said.items()]
        lines += ["", f"[{name}]", *rows] if rows else []
    return {"rpi-preseed.toml": "\n".join(lines) + "\n"}, ()


def _json(fields: dict[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=False, indent=2) + "\n"


FORMATS: dict[str, Callable[[Settings], Written]] = {
    "systemd": _systemd,
    "cloudinit": _cloudinit,
    "cloudinit-rpi": partial(_cloudinit, of_pi=True),
    "rpi-preseed": _preseed,
}
