"""Run the steps of scripts/board-test, and print what they measured."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from boardtest import halves, pi, power
from boardtest.steps import FIGURES, ROOT, TestFailed, figure, say

if TYPE_CHECKING:
    from collections.abc import Iterator

STEPS = {
    "systemd": "the rendered unit under a systemd in a container (scripts/service_test)",
    "arm64": "wheels and the board half of the tests on arm64; detections beside x86-64's",
    "next": "the board half on Python 3.14 of Debian's next release",
    "pi": "QEMU's Raspberry Pi 3B: a card is flashed, boots twice, rests",
    "pages": "a first boot in a machine of 16-KiB pages that says it is a Raspberry Pi 5",
    "update": "a good and a bad update over MQTT",
    "cuts": "power cuts of what `pi` and `update` wrote",
}
FAILED = set[str]()
EMULATED = {"pi", "update", "cuts", "pages"}


def main() -> int:
    """Run what was asked for; steps that a failed one does not concern are run as well."""
    parser = argparse.ArgumentParser(prog="scripts/board-test", description=__doc__)
    parser.add_argument("steps", nargs="*", metavar="STEP", help="; ".join(STEPS))
    parser.add_argument("--list", action="store_true", help="say what the steps are")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument(
        "--cuts",
        default="20,10,10",
        metavar="N,N,N",
        help="while running, in a first boot, in an update (20,10,10)",
    )
    parser.add_argument(
        "--boots",
        type=int,
        default=1,
        metavar="N",
        help="of the cuts of each kind, boot so many to detections; all cards are looked at (1)",
    )
    parser.add_argument(
        "--whole", action="store_true", help="arm64, next: all of the board half, half an hour each"
    )
    parser.add_argument("--seed", type=int, default=1, help="of where the power is cut")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(f"{name:8} {what}" for name, what in STEPS.items()))
        return 0
    unknown = set(arguments.steps) - set(STEPS)
    if unknown:
        parser.error(f"expected steps of {', '.join(STEPS)}, found {', '.join(sorted(unknown))}")
    began = time.monotonic()
    try:
        _run(arguments, arguments.steps or list(STEPS))
    finally:
        _table(arguments.json, time.monotonic() - began)
    return 1 if FAILED else 0


def _run(arguments: argparse.Namespace, steps: list[str]) -> None:
    if "arm64" in steps and {"systemd", "next"} & set(steps):
        with _beside([step for step in ("systemd", "next") if step in steps], arguments):
            _contain(["arm64"], arguments)
    else:
        _contain(steps, arguments)
    if EMULATED & set(steps):
        with pi.rig(arguments.seed) as it:
            _emulate(it, steps, arguments)


def _contain(steps: list[str], arguments: argparse.Namespace) -> None:
    """Go through the steps that are of containers."""
    if "systemd" in steps:
        with _step("systemd"):
            if subprocess.run([ROOT / "scripts/service_test"], check=False).returncode:
                raise TestFailed("scripts/service_test")
    if "arm64" in steps:
        with _step("arm64"):
            halves.arm64(is_whole=arguments.whole)
    if "next" in steps:
        with _step("next"):
            halves.next_python(is_whole=arguments.whole)


@contextmanager
def _beside(steps: list[str], arguments: argparse.Namespace) -> Iterator[None]:
    """Run steps in a process of their own during the block, and print what they said after it."""
    with tempfile.TemporaryDirectory() as folder:
        figures, said = Path(folder, "figures.json"), Path(folder, "said")
        whole = ["--whole"] if arguments.whole else []
        command = [sys.executable, "-um", "boardtest", *steps, "--json", figures, *whole]
        with said.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as others:
            yield
            if others.wait():
                FAILED.update(steps)
        say(said.read_text(errors="replace"))
        FIGURES.update(json.loads(figures.read_text()))


def _emulate(it: pi.Rig, steps: list[str], arguments: argparse.Namespace) -> None:
    """Go through the steps of the emulated board, on copies of a card that is flashed once."""
    stock = pi.flash(it)
    if {"pi", "cuts"} & set(steps):
        with _step("pi"):
            pi.runs(it, "raspi3b", pi.installs(it, "raspi3b", stock), it.release("pi3"))
    if {"update", "cuts"} & set(steps):
        with _step("update"):
            power.updates(it, stock)
    if "cuts" in steps and not {"pi", "update"} & FAILED:
        counts = [int(count) for count in arguments.cuts.split(",")]
        with _step("cuts"):
            power.power_cuts(it, counts, arguments.boots)
    if "pages" in steps:
        with _step("pages"):
            pi.installs(it, "virt16k", pi.flash(it, "pi5"))
    for card in it.work.glob("*.img"):
        card.unlink()


@contextmanager
def _step(name: str) -> Iterator[None]:
    """Say what a step is, and at its end what it took, or why it failed."""
    say(f"== {name}: {STEPS[name]}")
    began, end = time.monotonic(), ""
    try:
        yield
    except TestFailed as fault:
        say(str(fault))
        FAILED.add(name)
        end = ": FAILED"
    figure(f"step {name}, s", f"{time.monotonic() - began:.0f}{end}")


def _table(path: Path | None, took_s: float) -> None:
    FIGURES["all of it, s"] = round(took_s)
    FIGURES["machine"] = (
        f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[1]:.0f}"
    )
    width = max(map(len, FIGURES))
    print("\n".join(["", *(f"{name:{width}}  {value}" for name, value in FIGURES.items())]))
    if path:
        path.write_text(json.dumps(FIGURES, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
