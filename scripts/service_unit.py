"""The unit as a board gets it, in a booted Debian: installed, and held to what it forbids and lets.

Imported by scripts/service_test.py; `scripts/service_test --sandbox` runs only this.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from nspawn import check

if TYPE_CHECKING:
    import nspawn

# systemd-analyze security's, in tenths; what a camera, a broker and XNNPACK need costs the rest.
MOST_EXPOSURE = 16
# Of the environment that pip installed into.
EDGE = "/srv/venv/bin/edge"
CONFIG = "/opt/edge/current/device.toml"
SECRET = "not-in-the-log"  # noqa: S105 - of a test
# By its number of the kernel: what the sandbox must let through (a driver that is missing says
# ENXIO), and what not, as anybody may open it elsewhere.
DEVICES = {"video9": (81, 9), "usb9": (189, 9), "render9": (226, 137), "tun9": (10, 200)}
# Runs in the place of the service, with all else as the unit has it.
PROBE = f"""
import ctypes, errno, json, os, pathlib, socket, subprocess
libc = ctypes.CDLL(None, use_errno=True)
def code(action):
    try:
        return errno.errorcode.get(action() or 0, "ok")
    except OSError as error:
        return errno.errorcode[error.errno]
def call(name, *arguments):
    ctypes.set_errno(0)
    return code(lambda: getattr(libc, name)(*arguments) < 0 and ctypes.get_errno())
def write(path):
    return code(lambda: pathlib.Path(path).write_text("x") and 0)
def opened(path):
    return code(lambda: os.close(os.open(path, os.O_RDONLY)))
def made(family, kind, protocol=0):
    return code(lambda: socket.socket(family, kind, protocol).close())
HOUSE = "/home" + "/me"
there = ("/dev/video9", "/dev/usb9", "/dev/render9")
print(json.dumps({{
    "refused": {{
        "write to /etc": write("/etc/x"), "write to /usr": write("/usr/x"),
        "write to /home": write(HOUSE + "/x"), "write to /opt/edge": write("/opt/edge/current/x"),
        "write to /boot": write("/boot/x"), "write to /sys": write("/sys/kernel/mm/x"),
        "read another's secret": opened("/etc/edge/secrets/mqtt"),
        "read of /boot": opened("/boot/secret"), "read of /home": opened(HOUSE + "/secret"),
        "ptrace": call("ptrace", 0, 0, 0, 0),
        "load of a kernel module": call("syscall", INIT_MODULE, b"", 0, b""),
        "mount": call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
        "namespace": call("unshare", 0x10000000), "reboot": call("reboot", 0),
        "clock": code(lambda: __import__("time").clock_settime(0, 1)),
        "raw socket": made(socket.AF_INET, socket.SOCK_RAW, 1),
        "packet socket": made(17, socket.SOCK_RAW), "vsock": made(40, socket.SOCK_STREAM),
        "unlisted device": opened("/dev/tun9"),
        "memory that is written and run": call("mprotect", ctypes.c_void_p(ctypes.addressof(
            ctypes.create_string_buffer(8192)) // 4096 * 4096), 4096, 7),
    }},
    "let": {{
        "write to the state folder": write(os.environ["STATE_DIRECTORY"] + "/x"),
        "write to /run/edge": write(os.environ["RUNTIME_DIRECTORY"] + "/x"),
        "write to /tmp": write("/tmp/x"), "a file of group video": opened("/run/of-video"),
        "the configuration": opened("{CONFIG}"), "/proc/cpuinfo": opened("/proc/cpuinfo"),
        "a thermal zone": opened("/sys/class/thermal"), "affinity":
            code(lambda: os.sched_setaffinity(0, os.sched_getaffinity(0))),
        "a child that ends with it": code(lambda: subprocess.run(
            ["setpriv", "--pdeathsig", "KILL", "true"]).returncode),
        "udev's netlink": made(socket.AF_NETLINK, socket.SOCK_RAW, 15),
        "internet": made(socket.AF_INET, socket.SOCK_STREAM),
    }},
    "devices": {{path: opened(path) for path in there}},
    "credential": pathlib.Path("/run/credentials/edge.service/mqtt").read_text(),
    # Inheritable ones count with a file's own only, and NoNewPrivileges passes those over.
    "capabilities": [line.split()[1] for line in open("/proc/self/status")
        if line.startswith(("CapPrm", "CapEff", "CapBnd", "CapAmb"))],
}}))
"""


def install(debian: nspawn.Debian, config: str) -> None:
    """Install what pip has put beside it, as on a board that has a network; leave it stopped."""
    debian.run("mkdir -p -m 700 /etc/edge/secrets")
    debian.write("/etc/edge/secrets/mqtt", f"{SECRET}\n")
    debian.run("chmod 600 /etc/edge/secrets/mqtt")
    debian.write("/run/wall.toml", config)
    began = time.monotonic()
    said = debian.run(f"{EDGE} install --config /run/wall.toml 2>&1")
    took = f"{time.monotonic() - began:.0f} s; {said.splitlines()[-1]}"
    is_active = debian.run("systemctl is-active edge", check=False) == "active"
    check("edge install, of what pip has installed", holds=is_active, figure=took)
    said = debian.run(f"{EDGE} install --config /run/wall.toml 2>&1")
    check("the same again", holds="is installed already" in said, figure=said.splitlines()[-1])
    for line in ("edge --version", "edge-board detect"):
        said = debian.run(f"/usr/local/bin/{line} 2>&1", check=False)
        is_said = "not found" not in said and "Traceback" not in said
        check(f"/usr/local/bin/{line}", holds=is_said, figure=said.splitlines()[0])
    debian.run("systemctl stop edge")
    root = "/opt/edge/current/root/etc/systemd/system"
    units = f"edge.service {root}/edge-firstboot.service edge-update.service edge-update.path"
    errors = debian.run(f"systemd-analyze verify --man=no {units} 2>&1", check=False)
    check("systemd-analyze verify has nothing to say of the units", holds=not errors, figure=errors)
    said = debian.run("systemd-analyze security edge.service | tail -n 1")
    exposure = debian.run(
        f"systemd-analyze security --threshold={MOST_EXPOSURE} edge.service >/dev/null && echo ok",
        check=False,
    )
    check("its exposure", holds=exposure == "ok", figure=said.partition(": ")[2])


def is_refused(debian: nspawn.Debian, leader: int) -> None:
    """Run a probe in the place of the service: what the sandbox forbids, and what it must not."""
    for name, numbers in DEVICES.items():
        debian.make_device(leader, name, numbers)
    debian.run("cd /home && mkdir -p me /boot && echo x >me/secret && echo x >/boot/secret")
    debian.run("chmod -R a+rX /home /boot")
    debian.run("touch /run/of-video && chgrp video /run/of-video && chmod 640 /run/of-video")
    numbers = {"x86_64": 175, "aarch64": 105}  # of init_module, <asm/unistd.h>
    probe = PROBE.replace("INIT_MODULE", str(numbers[debian.run("uname -m")]))
    debian.write("/run/probe.py", probe)
    debian.run("mkdir -p /run/systemd/system/edge.service.d")
    debian.write(
        "/run/systemd/system/edge.service.d/probe.conf",
        "[Service]\nType=oneshot\nRestart=no\nWatchdogSec=0\nStandardOutput=file:/run/probe.json\n"
        "ExecReload=\nExecStart=\nExecStart=/opt/edge/current/venv/bin/python /run/probe.py\n",
    )
    debian.run("systemctl daemon-reload && systemctl start edge")
    found = json.loads(debian.run("cat /run/probe.json"))
    debian.run("rm /run/systemd/system/edge.service.d/probe.conf && systemctl daemon-reload")
    for what, code in found["refused"].items():
        check(f"refused: {what}", holds=code not in ("ok", "ENXIO"), figure=code)
    for what, code in found["let"].items():
        check(f"let: {what}", holds=code == "ok", figure="" if code == "ok" else code)
    for what, code in found["devices"].items():
        check(f"let, but for its driver: {what}", holds=code in ("ENXIO", "ENODEV"), figure=code)
    has_none = set(found["capabilities"]) == {"0" * 16}
    check("it has no capabilities", holds=has_none)
    is_told = found["credential"] == f"{SECRET}\n"
    said = debian.run("journalctl --no-pager; systemctl show edge")
    check("the secret arrives by LoadCredential", holds=is_told and SECRET not in said)


def uninstalls(debian: nspawn.Debian) -> None:
    """What was configured stays, and is what is installed the next time; `--purge` takes it."""
    kept = debian.run(f"cat {CONFIG}")
    debian.run(f"{EDGE} uninstall 2>&1")
    left = debian.run("ls -d /opt/edge /usr/local/bin/edge* /etc/systemd/system/edge*", check=False)
    check("edge uninstall leaves no program and no unit", holds=not left, figure=left)
    is_kept = debian.run("cat /etc/edge/device.toml") == kept
    check("but the configuration and its secret", holds=is_kept)
    debian.run(f"{EDGE} install 2>&1")
    is_kept = debian.run(f"systemctl is-active edge >/dev/null; cat {CONFIG}") == kept
    check("which the next edge install takes up", holds=is_kept)
    debian.run(f"{EDGE} uninstall --purge 2>&1")
    paths = (
        "/opt/edge /etc/edge /var/lib/edge-vision /var/lib/edge-install /etc/systemd/system/edge*"
    )
    left = debian.run(f"ls -d {paths}", check=False)
    check("edge uninstall --purge leaves nothing", holds=not left, figure=left)


def misses_a_secret(debian: nspawn.Debian) -> None:
    """A secret's file that is missing is the program's to name, not systemd's."""
    debian.run("mv /etc/edge/secrets/mqtt /run/aside")
    debian.run("systemctl start edge", check=False)
    said = debian.run("journalctl -u edge -n 20 --no-pager -o cat")
    debian.run("systemctl stop edge; mv /run/aside /etc/edge/secrets/mqtt")
    line = next((each for each in said.splitlines() if "/run/credentials" in each), "")
    check("a missing secret is said by name", holds=line, figure=line)
