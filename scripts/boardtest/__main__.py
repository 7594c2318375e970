"""Run the steps of scripts/board-test, and print what they measured."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

STEPS = {
    "systemd": "(a) the rendered unit in a container with a systemd of its own (scripts/service_test)",
    "arm64": "(b) the bundle's wheels and the board half of the tests under user emulation, detections beside x86-64's",
    "next": "(b) the board half on Python 3.14 of Debian's next release",
    "pi": "(c) QEMU's Raspberry Pi 3B: flash, first boot, second boot, memory, writes",
    "pages": "(c) the same card in a machine of 16-KiB pages that says it is a Raspberry Pi 5",
    "update": "(c) a good and a bad update over MQTT",
    "cuts": "(c) power cuts in a first boot, in an update and while running, each with a boot that has to come back",
}


def main() -> int:
    """Run what was asked for; a step that fails ends it, with the figures so far."""
    parser = argparse.ArgumentParser(prog="scripts/board-test", description=__doc__)
    parser.add_argument("steps", nargs="*", metavar="STEP", help="; ".join(STEPS))
    parser.add_argument("--list", action="store_true", help="say what the steps are")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument(
        "--cuts",
        default="10,10,20",
        metavar="N,N,N",
        help="in first boot, update, running (10,10,20)",
    )
    parser.add_argument(
        "--whole", action="store_true", help="arm64: all of the board half, about half an hour"
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
    except BaseException:
        _table(arguments.json, time.monotonic() - began)
        raise
    _table(arguments.json, time.monotonic() - began)
    return 0


def _run(arguments: argparse.Namespace, steps: list[str]) -> None:
    from boardtest import halves, pi
    from boardtest.steps import ROOT, TestFailed, say

    for step in steps:
        say(f"== {step}: {STEPS[step]}")
        if (
            step == "systemd"
            and subprocess.run([ROOT / "scripts/service_test"], check=False).returncode
        ):
            raise TestFailed("scripts/service_test")
        if step == "arm64":
            halves.arm64(whole=arguments.whole)
        if step == "next":
            halves.next_python()
    emulated = [step for step in steps if step in ("pi", "pages", "update", "cuts")]
    if emulated:
        counts = [int(count) for count in arguments.cuts.split(",")]
        with pi.rig(arguments.seed) as it:
            pi.go(it, emulated, counts)


def _table(path: Path | None, took_s: float) -> None:
    from boardtest.steps import FIGURES

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
