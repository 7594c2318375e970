"""The steps of a test of boards, in their order; two or more side by side."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from boardtest import halves, pi, power
from boardtest.steps import (
    EMULATED,
    FAILED,
    FIGURES,
    NAME,
    ROOT,
    STEPS,
    TestFailed,
    figure,
    say,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

# Beside each other two emulated boards finish sooner than one after the other.
SIDE_BY_SIDE = 2


def run(arguments: argparse.Namespace, steps: list[str]) -> None:
    """Go through steps; one that fails is in `FAILED`, and what others measured in `FIGURES`."""
    if "arm64" in steps and {"systemd", "next"} & set(steps):
        with _beside([step for step in ("systemd", "next") if step in steps], arguments):
            _contain(["arm64"], arguments)
    else:
        _contain(steps, arguments)
    if EMULATED & set(steps):
        _emulate(steps, arguments)


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


def _emulate(steps: list[str], arguments: argparse.Namespace) -> None:
    """Go through the steps of the emulated board: `pi`, then the others two at a time."""
    prepared = pi.prepared()
    needs = {"pi": {"pi", "cuts"}, "update": {"update", "cuts"}, "pages": {"pages"}}
    does = {"pi": _pi, "update": power.updates, "pages": _pages}
    with ExitStack() as stack, ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        rigs = {
            name: stack.enter_context(pi.rig(name, *prepared))
            for name in does
            if needs[name] & set(steps)
        }
        stock = pi.flash(next(iter(rigs.values())))
        jobs = {}
        for name, it in rigs.items():
            jobs[name] = pool.submit(_named, name, does[name], it, stock)
            if name == "pi":
                # Alone: its times have limits, and beside another its first boot took 351 s.
                jobs[name].result()
        if "cuts" in steps:
            jobs["update"].result()
            if not {"pi", "update"} & FAILED:
                recordings = [*rigs["pi"].recordings, *rigs["update"].recordings]
                them = power.Cuts(prepared, arguments.seed, arguments.boots)
                _named("cuts", power.power_cuts, them, pool, recordings, arguments.cuts)
        for job in jobs.values():
            job.result()


def _pi(it: pi.Rig, stock: Path) -> None:
    pi.runs(it, "raspi3b", pi.installs(it, "raspi3b", stock), it.release("pi3"))


def _pages(it: pi.Rig, _: Path) -> None:
    pi.installs(it, "virt16k", pi.flash(it, "pi5"))


def _named(name: str, step: Callable[..., None], *arguments: object) -> None:
    """Go through a step beside others: each line that it prints begins with its name."""
    token = NAME.set(name)
    try:
        with _step(name):
            step(*arguments)
    finally:
        NAME.reset(token)


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
