"""The steps of a test of boards, in their order; those of containers side by side."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from boardtest import halves, pi, power
from boardtest.steps import EMULATED, FAILED, FIGURES, ROOT, STEPS, TestFailed, figure, say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator


def run(arguments: argparse.Namespace, steps: list[str]) -> None:
    """Go through steps; one that fails is in `FAILED`, and what others measured in `FIGURES`."""
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
        with _step("cuts"):
            power.power_cuts(it, arguments.cuts, arguments.boots)
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
