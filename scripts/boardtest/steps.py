"""What the steps are and found, and what is made once: folders named by a digest of its inputs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("BOARD_TEST_CACHE") or ROOT / ".cache/board")
STEPS = {
    "systemd": "the rendered unit under a systemd in a container (scripts/service_test)",
    "arm64": "wheels and the board half of the tests on arm64; detections beside x86-64's",
    "next": "the board half on Python 3.14 of Debian's next release",
    "pi": "QEMU's Raspberry Pi 3B: a card is flashed, boots twice, rests",
    "update": "a good and a bad update over MQTT",
    "cuts": "power cuts of what `pi` and `update` wrote",
    "pages": "a first boot in a machine of 16-KiB pages that says it is a Raspberry Pi 5",
}
EMULATED = {"pi", "update", "cuts", "pages"}
# What was measured, by name, and the steps that failed.
FIGURES: dict[str, object] = {}
FAILED = set[str]()
# Of what runs beside others, before each line that it prints.
NAME = ContextVar("name", default="")


class TestFailed(SystemExit):
    """Something that must hold on a board does not."""

    def __init__(self, sentence: str) -> None:
        super().__init__(f"FAILED: {sentence}")


def say(text: str) -> None:
    """Print a line at once, and whole: others print as well."""
    name = NAME.get()
    print(f"{name + ':':8}{text}\n" if name else f"{text}\n", end="", flush=True)


def check(what: str, *, holds: object, figure: object = "") -> None:
    """Print a line; end where it does not hold."""
    say(f"{'ok' if holds else 'FAILED':7} {what}{f': {figure}' if figure != '' else ''}")
    if not holds:
        raise TestFailed(what)


def figure(name: str, value: object) -> None:
    """Keep a figure for the table at the end, and for --json."""
    FIGURES[name] = value
    say(f"        {name}: {value}")


def run(*command: str | Path, **more: object) -> str:
    """Run a program; return what it prints, or end with what it complained of."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, **more
    )  # type: ignore[call-overload]
    if done.returncode:
        raise TestFailed(f"{' '.join(map(str, command))}: {(done.stderr or done.stdout)[-2000:]}")
    return str(done.stdout)


def made(name: str, inputs: Iterable[object], make: Callable[[Path], None]) -> Path:
    """Return the folder of a step, making it if nothing was made of these inputs yet.

    Args:
        name: of the step.
        inputs: texts, and paths whose contents count (of a folder: names and contents).
        make: fills the folder that it is given.
    """
    folder = CACHE / f"{name}-{_digest(inputs)}"
    if not folder.is_dir():
        for old in CACHE.glob(f"{name}-*"):
            shutil.rmtree(old)
        began = time.monotonic()
        staged = CACHE / f"{name}-unfinished"
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(parents=True)
        make(staged)
        staged.rename(folder)
        say(f"        made {name} in {time.monotonic() - began:.0f} s")
    return folder


def _digest(inputs: Iterable[object]) -> str:
    digest = hashlib.sha256()
    for item in inputs:
        paths = [item] if isinstance(item, Path) else []
        if paths and paths[0].is_dir():
            paths = sorted(path for path in paths[0].rglob("*") if path.is_file())
        for path in paths:
            digest.update(str(path.name).encode() + hashlib.sha256(path.read_bytes()).digest())
        if not paths:
            digest.update(json.dumps(item, sort_keys=True, default=str).encode())
    return digest.hexdigest()[:12]
