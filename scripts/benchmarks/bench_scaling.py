"""Measure what costs grow with, beside what they may: `scripts/bench --scaling`.

Sizes of one row are interleaved, forwards and backwards in turn; a figure is the median over the
rounds, with least and greatest.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import bench_document
from bench_growth import cameras, grown, kernels, networks, per_score, threads
from bench_peers_worker import PeerError
from edge_process import EdgeProcess, make_clip, running_broker

from edge.errors import EdgeError
from edge.model import model_file
from edge.model.default import default_model_path

if TYPE_CHECKING:
    from bench_growth import Outcome

ROOT = Path(__file__).resolve().parents[2]
KERNEL_ROUNDS = 3  # for each round of processes: they take milliseconds
INVOKES = 60
HEADERS = ("cost", "median at each size", "growth (least to greatest)", "allowed", "verdict")


def main() -> int:
    """Print the table, and write it where that is asked for."""
    parser = argparse.ArgumentParser(prog="scripts/bench --scaling", description=__doc__)
    parser.add_argument(
        "--model",
        type=Path,
        action="append",
        help="a .tflite (the built-in one); may be repeated: each is compared with its own invoke",
    )
    parser.add_argument("--rounds", type=int, default=7, help="windows of each size (7)")
    parser.add_argument("--frames", type=int, default=120, help="frames of a window (120)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="document to update")
    arguments = parser.parse_args()
    try:
        text = report(measure(arguments), ["--scaling", *sys.argv[1:]])
        print(text)
        if arguments.write:
            bench_document.write_section(arguments.write, "scaling", text)
    except (EdgeError, PeerError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def measure(arguments: argparse.Namespace) -> list[Outcome]:
    """Measure every row."""
    models: list[Path] = arguments.model or [default_model_path()]
    file = model_file.read(models[0])
    rounds, frames = arguments.rounds, arguments.frames
    outcomes = [grown(growth, rounds=rounds * KERNEL_ROUNDS) for growth in kernels()]
    outcomes.append(per_score(rounds=rounds * KERNEL_ROUNDS))
    with tempfile.TemporaryDirectory() as name, running_broker() as port:
        clip = make_clip(Path(name) / "clip.mp4")
        process = EdgeProcess(ROOT, Path(name), port=port, model=models[0])
        outcomes.append(grown(threads(file, frames=min(frames, INVOKES)), rounds=rounds))
        outcomes += networks(models, clip, rounds=rounds, frames=frames)
        try:
            outcomes += cameras(process, clip, rounds=rounds, frames=frames)
        except EdgeError as error:  # the rows so far took minutes
            print(f"cameras: not measured: {error}", file=sys.stderr)
    return outcomes


def report(outcomes: list[Outcome], arguments: list[str]) -> str:
    """Return the table with what it was measured on."""
    rows = [outcome.cells() for outcome in outcomes]
    return f"{bench_document.heading(arguments)}\n\n{bench_document.table(HEADERS, rows)}"


if __name__ == "__main__":
    sys.exit(main())
