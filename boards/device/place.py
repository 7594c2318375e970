"""Where everything lies on a board, or below a folder that will be one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boards.device import files
from edge.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICE = "edge.service"
# Where systemd hands the service its secrets.
CREDENTIALS = f"/run/credentials/{SERVICE}/"
# A model's first start tries it in a process of its own; TimeoutStartSec of the unit is 300 s.
COMMAND_TIMEOUT_S = 900.0
# Over any list of a bundle.
MOST_BYTES = 4 << 20
LEAST_FREE_BYTES = 32 << 20


def say(text: str) -> None:
    """Tell who started this; one who has gone, as in `edge install | head`, stops nothing."""
    with suppress(OSError):
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class Place:
    """A board.

    Attributes:
        root: `/`, or a folder that stands for it.
        say: Told what is done, a sentence each.
    """

    root: Path = Path("/")
    say: Callable[[str], object] = say

    @property
    def opt(self) -> Path:
        """Releases and environments."""
        return self.root / "opt/edge"

    @property
    def current(self) -> Path:
        """A link to the release that runs."""
        return self.opt / "current"

    @property
    def previous(self) -> Path:
        """A link to the one that ran before."""
        return self.opt / "previous"

    @property
    def etc(self) -> Path:
        """The configuration, secrets, and whose signatures count."""
        return self.root / "etc/edge"

    @property
    def state(self) -> Path:
        """Of installs and updates; root's."""
        return self.root / "var/lib/edge-install"

    @property
    def service_state(self) -> Path:
        """Of the service, which owns it: nothing in there is to be trusted."""
        return self.root / "var/lib/edge-vision"

    @property
    def lock(self) -> Path:
        """Held by whoever changes anything."""
        return self.state / "lock"

    @property
    def is_live(self) -> bool:
        """Whether this is the running system, with systemd: sd_booted(3)."""
        return self.root == Path("/") and Path("/run/systemd/system").is_dir()

    def own(self, path: Path) -> str:
        """Return a path as the board sees it."""
        return f"/{path.relative_to(self.root)}"

    def need_room(self, size_bytes: int) -> None:
        """Refuse to begin, or to go on with, what would fill the disk."""
        files.make_folder(self.opt)
        free, wanted = shutil.disk_usage(self.opt).free, size_bytes + LEAST_FREE_BYTES
        if free < wanted:
            raise BoardError(
                f"{self.opt}: expected {wanted >> 20} MiB of room, found {free >> 20} MiB; free "
                "some space, and run this again; nothing has changed"
            )

    def need_root(self) -> None:
        """Refuse to change a system that is not this user's to change."""
        if self.root == Path("/") and os.geteuid():
            raise BoardError("expected to run as root; put sudo before the command")

    def run_live(self, *command: str, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        """Run a command of the system, if this is one that runs; return what went wrong."""
        return run(*command, timeout_s=timeout_s) if self.is_live else ""


def run(
    *command: str, env: dict[str, str] | None = None, timeout_s: float = COMMAND_TIMEOUT_S
) -> str:
    """Run a command; return what it said when it failed, never nothing, and nothing otherwise."""
    try:
        done = subprocess.run(
            command,
            check=False, capture_output=True, text=True, errors="replace", timeout=timeout_s,
            env=clean_environment() | (env or {}), cwd="/", stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"{command[0]} took over {timeout_s:g} s"
    except OSError as error:
        return f"{command[0]}: {error.strerror}"
    if not done.returncode:
        return ""
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return "; ".join(said[-4:])[-1000:] or f"{command[0]} ended with status {done.returncode}"


def clean_environment() -> dict[str, str]:
    """Return this process's variables, but for those that would lead Python elsewhere."""
    return {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PIP_"))
    }


def read_json(path: Path, *, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """Return what a small file holds; nothing where it is missing, damaged, or no plain file."""
    try:
        with files.plain(path) as file:
            found = json.loads(file.read(most_bytes))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: Path, fields: dict[str, Any], mode: int = 0o644) -> None:
    """Write a file of ours, whole."""
    files.make_folder(path.parent)
    files.write(path, json.dumps(fields, indent=1, sort_keys=True).encode() + b"\n", mode)
