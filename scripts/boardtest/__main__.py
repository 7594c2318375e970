"""Run the steps of scripts/board-test, and print what they measured."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

from boardtest.steps import FAILED, FIGURES, STEPS


def main() -> int:
    """Run what was asked for; steps that a failed one does not concern are run as well."""
    parser = argparse.ArgumentParser(prog="scripts/board-test", description=__doc__)
    parser.add_argument("steps", nargs="*", metavar="STEP", help="; ".join(STEPS))
    parser.add_argument("--list", action="store_true", help="say what the steps are")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    parser.add_argument(
        "--cuts",
        type=_counts,
        default=[20, 10, 10],
        metavar="N,N,N",
        help="while running, in a first boot, in an update (20,10,10)",
    )
    parser.add_argument(
        "--boots",
        type=int,
        default=1,
        metavar="N",
        help="of the cards of each kind that differ, boot so many to detections; all cards are "
        "looked at (1)",
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
        from boardtest.sequence import run  # noqa: PLC0415 - --help needs no packages

        run(arguments, arguments.steps or list(STEPS))
    finally:
        _table(arguments.json, time.monotonic() - began)
    return 1 if FAILED else 0


def _counts(text: str) -> list[int]:
    running, first, update = (int(part) for part in text.split(","))
    return [running, first, update]


def _table(path: Path | None, took_s: float) -> None:
    machine = f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[1]:.0f}"
    whole = {"all of it, s": round(took_s), "machine": machine}
    # Steps that ran beside these have said the same of themselves.
    figures = {name: value for name, value in FIGURES.items() if name not in whole} | whole
    width = max(map(len, figures))
    print("\n".join(["", *(f"{name:{width}}  {value}" for name, value in figures.items())]))
    if path:
        path.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
