"""A Debian under systemd-nspawn, with a real systemd; what changes in it is forgotten."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 120.0


class Debian:
    """A booted system; its files change in memory only."""

    def __init__(self, leader: int) -> None:
        spaces = ("-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w")
        self._enter = ["nsenter", "-t", str(leader), *spaces]

    def run(self, line: str, *, check: bool = True) -> str:
        """Run a line of shell in it, and return what that prints."""
        done = subprocess.run(
            [*self._enter, "/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin", "sh", "-c", line],
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise SystemExit(f"{line}: {done.stderr or done.stdout}")
        return done.stdout.strip()

    @staticmethod
    def make_device(leader: int, name: str, numbers: tuple[int, int]) -> None:
        """Make a device that anybody may open; it may not do so itself."""
        # Its /proc is of other processes, by which some versions of mknod set a mode.
        line = f"umask 0 && mknod /dev/{name} c {numbers[0]} {numbers[1]}"
        subprocess.run(["nsenter", "-t", str(leader), "-m", "sh", "-c", line], check=True)

    def write(self, path: str, text: str) -> None:
        """Write a file in it."""
        subprocess.run(
            [*self._enter, "/usr/bin/sh", "-c", f"cat > {path}.new && mv {path}.new {path}"],
            input=text, text=True, check=True,
        )  # fmt: skip


def check(what: str, *, holds: object, figure: str = "", said: str = "") -> None:
    """Print a line; end where it does not hold, with what was said."""
    print(f"{'ok' if holds else 'FAILED':7} {what}{f': {figure}' if figure else ''}", flush=True)
    if not holds:
        raise SystemExit(said or 1)


def until(what: str, condition: Callable[[], object]) -> float:
    """Wait until something holds; return the seconds that it took."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > PATIENCE_S:
            raise SystemExit(f"FAILED: not within {PATIENCE_S:g} s: {what}")
        time.sleep(0.05)
    return time.monotonic() - began


@contextmanager
def booted(system: Path) -> Iterator[int]:
    """Boot what is in a folder for the length of the block; give the process number of its init."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "boot.log")
        line = "systemd-nspawn --register=no --keep-unit --volatile=overlay"
        line += f" --capability=CAP_BPF --system-call-filter=bpf -D {system} -b"
        with subprocess.Popen(
            ["script", "-qec", f"exec {line}", str(log)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            # systemd keeps to its lists of devices with the one hierarchy only.
            env={**os.environ, "UNIFIED_CGROUP_HIERARCHY": "yes"},
        ) as outer:  # fmt: skip
            nspawn = _child(outer.pid)
            try:
                # Its first child only makes the second, which is the system's init.
                until("the boot", lambda: _is_up(Debian(_child(nspawn))))
                yield _child(nspawn)
            finally:
                subprocess.run(["kill", str(nspawn)], check=False)
                outer.wait(30)


def _is_up(debian: Debian) -> bool:
    return debian.run("systemctl is-system-running", check=False) in ("running", "degraded")


def _child(pid: int) -> int:
    """Return the first child of a process, once there is one."""
    for _ in range(200):
        found = subprocess.run(
            ["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False
        )
        if found.stdout:
            return int(found.stdout.split()[0])
        time.sleep(0.05)
    raise SystemExit("systemd-nspawn did not start; try it by hand: systemd-nspawn -D FOLDER -b")
