"""Boot a Debian, install the unit that is rendered, and hold the service to docs/service.md.

Run by scripts/service_test: service_test.py FOLDER [--sandbox], FOLDER the root of that Debian.
"""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from pathlib import Path

import nspawn
import service_unit
from nspawn import check

WATCHDOG_S = 5
# What docs/service.md promises.
STOP_S, SAFE_S = 2, 60
CONFIG = """
[device]
name = "wall"
[camera]
name = "north"
{camera}
[model]
score_threshold = {threshold}
[mqtt]
url = "mqtt://me@127.0.0.1:{port}"
password_file = "/run/credentials/edge.service/mqtt"
"""
DEMO = 'source = "demo:"\nsize_wh = [320, 240]\nrealtime = true\nrate_hz = 20'
# Another than a broker of the host, whose loopback this Debian shares.
PORT = 18830


class Service(nspawn.Debian):
    """The service in a booted system."""

    def shows(self, name: str) -> str:
        """Return a property of the service."""
        return self.run(f"systemctl show -P {name} edge")

    def kept(self, topic: str) -> str:
        """Return what the broker keeps of a topic."""
        return self.run(f"mosquitto_sub -p {PORT} -t {topic} -C 1 -W 5", check=False)

    def mode(self) -> dict[str, object]:
        """Return the mode that the broker keeps."""
        return dict(json.loads(self.kept("edge/wall/mode") or "{}"))

    def log(self) -> str:
        """Return the last lines of the service's log."""
        return self.run("journalctl -u edge -n 40 --no-pager", check=False)

    def configure(self, *, camera: str = DEMO, threshold: float = 0.5) -> None:
        """Write the configuration."""
        self.write(service_unit.CONFIG, configuration(camera=camera, threshold=threshold))


def configuration(*, camera: str = DEMO, threshold: float = 0.5) -> str:
    """Return a configuration."""
    return CONFIG.format(camera=camera, threshold=threshold, port=PORT)


def start_broker(debian: Service) -> None:
    """Start a broker with a password."""
    debian.run("systemctl stop mosquitto")
    passwords = "/etc/mosquitto/passwords"
    debian.run(f"mosquitto_passwd -b -c {passwords} me {service_unit.SECRET} 2>&1")
    debian.run(f"chown mosquitto {passwords}")
    debian.write(
        "/etc/mosquitto/mosquitto.conf",
        f"listener {PORT} 127.0.0.1\nallow_anonymous true\npassword_file {passwords}\n",
    )
    debian.run("systemctl restart mosquitto")


def override(debian: Service, lines: str) -> None:
    """Change the unit for a test."""
    debian.run("mkdir -p /etc/systemd/system/edge.service.d")
    debian.write("/etc/systemd/system/edge.service.d/test.conf", f"[Service]\n{lines}\n")
    debian.run("systemctl daemon-reload")


def starts(debian: Service) -> None:
    """Active only after the first frame, with a status line and a log of priorities."""
    debian.configure()
    began = time.monotonic()
    debian.run("systemctl start --no-block edge")
    seen = set()
    while debian.shows("ActiveState") != "active":
        seen.add(debian.shows("SubState"))
        if time.monotonic() - began > nspawn.PATIENCE_S:
            raise SystemExit(debian.log())
    took_s = time.monotonic() - began
    check("activating until READY, then active", holds="start" in seen, figure=f"{took_s:.1f} s")
    check("a frame had come out", holds=debian.kept("edge/wall/north/detections"))
    nspawn.until("a rate", lambda: re.match(r"[1-9]", debian.shows("StatusText")))
    check("systemctl status shows", holds=True, figure=debian.shows("StatusText"))
    run = f"_SYSTEMD_INVOCATION_ID={debian.shows('InvocationID')}"
    lines = [
        json.loads(line)
        for line in debian.run(f"journalctl {run} -o json --no-pager").splitlines()
        if '"_COMM":"python"' in line
    ]
    texts = [str(line["MESSAGE"]) for line in lines]
    check(
        "lines of the journal have their priority and no prefix",
        holds=lines
        and {line["PRIORITY"] for line in lines} <= {"4", "6"}
        and "<" not in "".join(texts),
        figure=texts[-1],
    )


def restarts(debian: Service) -> None:
    """The watchdog ends what gives no frames, and not what has no camera."""
    override(debian, f"WatchdogSec={WATCHDOG_S}\nTimeoutAbortSec=1\nRestartSec=0.1")
    debian.run("systemctl restart edge")
    for what, line in (
        ("SIGSTOP", "kill -STOP $(systemctl show -P MainPID edge)"),
        ("SIGKILL", "kill -KILL $(systemctl show -P MainPID edge)"),
    ):
        count = int(debian.shows("NRestarts"))
        debian.run(line)
        took_s = nspawn.until(what, lambda count=count: int(debian.shows("NRestarts")) > count)
        nspawn.until(f"active after {what}", lambda: debian.shows("ActiveState") == "active")
        check(
            f"started anew after {what}",
            holds=True,
            figure=f"{took_s:.1f} s, WatchdogSec={WATCHDOG_S}",
        )
    check("the watchdog ended it", holds="Watchdog timeout" in debian.run("journalctl -u edge"))


def hangs(debian: Service) -> None:
    """Frames that stop to come out, in a process that is alive otherwise, starve the watchdog."""
    debian.run("mkfifo -m 666 /run/full; systemd-run -q sh -c 'sleep 1000 </run/full'")
    override(
        debian,
        f"WatchdogSec={WATCHDOG_S}\nStandardOutput=file:/run/full\nStandardError=journal",
    )
    debian.configure()
    text = debian.run(f"cat {service_unit.CONFIG}").partition("[mqtt]")[0]
    debian.write(service_unit.CONFIG, text)
    debian.run("systemctl restart edge")
    count = int(debian.shows("NRestarts"))
    took_s = nspawn.until("a kill", lambda: int(debian.shows("NRestarts")) > count)
    said = "no frame has come out" in debian.run("journalctl -u edge")
    check("frames that stop end it", holds=said, figure=f"{took_s:.1f} s after it was ready")
    debian.run("systemctl stop edge; systemctl reset-failed edge", check=False)
    override(debian, f"WatchdogSec={WATCHDOG_S}\nRestartSec=0.1")


def waits(debian: Service) -> None:
    """A camera that is away is waited for."""
    debian.configure(camera='source = "http://127.0.0.1:9/stream"')
    debian.run("systemctl start edge")
    count = debian.shows("NRestarts")
    time.sleep(3 * WATCHDOG_S)
    check(
        f"without its camera it lives for {3 * WATCHDOG_S} s, three times WatchdogSec",
        holds=debian.shows("NRestarts") == count and debian.shows("ActiveState") == "active",
        figure=debian.shows("StatusText"),
    )


def stops(debian: Service) -> None:
    """Ends within two seconds, whatever the broker does."""
    cases = (
        ("a broker", "true", "true"),
        ("a broker that is away", "systemctl stop mosquitto", "systemctl start mosquitto"),
        ("a broker that hangs", "pkill -STOP -x mosquitto", "pkill -CONT -x mosquitto"),
    )
    for what, before, after in cases:
        debian.configure()
        debian.run("systemctl restart edge; sleep 1")
        debian.run(before)
        debian.run("sleep 1")
        began = time.monotonic()
        debian.run("systemctl stop edge")
        took_s = time.monotonic() - began
        # A unit that is not enabled is forgotten with its exit status; the journal is not.
        said = debian.run("journalctl -u edge -n 3 --no-pager")
        ended_well = "Deactivated successfully" in said and "status=" not in said
        is_well = took_s <= STOP_S and ended_well
        check(f"stopped with {what}, exit status 0", holds=is_well, figure=f"{took_s:.2f} s")
        debian.run(after)
    debian.run("systemctl restart edge; sleep 1; systemctl stop edge")
    check("offline is kept by the broker", holds=debian.kept("edge/wall/status") == "offline")


def reloads(debian: Service) -> None:
    """Follows a changed file without an end, by either type of unit."""
    for kind in ("Type=notify", "Type=notify-reload\nExecReload="):
        override(debian, kind)
        debian.configure()
        debian.run("systemctl restart edge")
        process = debian.shows("MainPID")
        debian.configure(threshold=0.25)
        began = time.monotonic()
        debian.run("systemctl reload edge")
        took_s = time.monotonic() - began
        nspawn.until("the threshold", lambda: "0.25" in debian.kept("edge/wall/settings"))
        check(
            f"reloaded with {kind.split()[0]}", holds=debian.shows("MainPID") == process,
            figure=f"{took_s:.2f} s",
        )  # fmt: skip


def goes_safe(debian: Service) -> None:
    """Waits in safe mode after five failed starts, says so, and comes back."""
    override(debian, "")
    debian.configure()
    debian.run("systemctl restart edge")
    nspawn.until(
        "a good start",
        lambda: '"device":"wall"' in debian.run("cat /var/lib/edge-vision/starts-*.json"),
    )
    debian.write(service_unit.CONFIG, "this is no TOML")
    began = time.monotonic()
    debian.run("systemctl restart edge", check=False)
    nspawn.until("safe mode", lambda: debian.mode().get("mode") == "safe")
    took_s = time.monotonic() - began
    tries = debian.shows("NRestarts")
    is_soon = took_s <= SAFE_S and tries == "5"
    check("safe mode after five failed starts", holds=is_soon, figure=f"{took_s:.1f} s")
    check("its reason", holds=True, figure=str(debian.mode()["reason"]))
    check("systemctl status shows", holds=True, figure=debian.shows("StatusText"))
    states = debian.kept("edge/wall/status"), debian.kept("edge/wall/north/status")
    check("the device is online, its camera not", holds=states == ("online", "offline"))
    memory = debian.run("grep VmRSS /proc/$(systemctl show -P MainPID edge)/status").split()
    check("memory in safe mode", holds=True, figure=f"{int(memory[1]) / 1024:.0f} MiB")
    debian.configure()
    took_s = nspawn.until("the way back", lambda: debian.mode().get("mode") == "normal")
    check(
        "a mended file brings it back",
        holds=debian.shows("NRestarts") == "5",
        figure=f"{took_s:.1f} s",
    )
    debian.run("systemctl stop edge")


def main() -> None:
    """Boot, and go through it all."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    began = time.monotonic()
    with nspawn.booted(Path(sys.argv[1])) as leader:
        debian = Service(leader)
        print(
            f"== {debian.run('systemctl --version | head -1')}, {debian.run('python3 --version')}"
        )
        start_broker(debian)
        service_unit.install(debian, configuration())
        service_unit.is_refused(debian, leader)
        service_unit.misses_a_secret(debian)
        if "--sandbox" not in sys.argv:
            for part in (starts, restarts, hangs, waits, stops, reloads, goes_safe):
                part(debian)
            # Of the test, as a person's own `systemctl edit`, which an uninstall leaves alone.
            debian.run("rm -r /etc/systemd/system/edge.service.d && systemctl daemon-reload")
        service_unit.uninstalls(debian)
    print(f"== all of it holds; {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
