#!/usr/bin/env python3
"""Count the people who cross a line in a clip, and the ids that each of them had.

Usage: bench_crossings.py CLIP [--frames N]
"""

from __future__ import annotations

import argparse
import sys
from itertools import groupby, islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Where six people who come one after the other go out of the picture, to the right.
LINE = {"name": "out", "from": [0.72, 0], "to": [0.72, 1], "labels": ["person"]}
FRAMES = 300


def main() -> None:
    """Print the figures of a clip."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument(
        "--frames", type=int, default=FRAMES, help="how many (default: %(default)s)"
    )
    arguments = parser.parse_args()
    crossed, ids = count(arguments.clip, frames=arguments.frames)
    print(f"{arguments.frames} frames: {crossed} crossed; ids one after the other: {ids}")


def count(clip: Path, *, frames: int) -> tuple[int, list[int]]:
    """Return how many crossed the line, and the ids of people in the order of the frames."""
    sys.path.insert(0, str(ROOT))
    from edge import watch  # noqa: PLC0415 - found only once the repository is on the path
    from edge.app import read_model  # noqa: PLC0415
    from edge.config.reading import parse  # noqa: PLC0415
    from edge.stages.zones import Zones  # noqa: PLC0415

    labels = read_model(None).description.labels
    stage = Zones(parse({"line": LINE}), labels, {})
    crossed, ids = 0, []
    for seen in islice(watch(f"file:{clip}", tracking=True, stages=[stage]), frames):
        crossed += sum(event.kind == "cross" for event in seen.events)
        people = seen.result[seen.result.class_ids == labels.index("person")]
        ids += people.track_ids.tolist()
    return crossed, [number for number, _ in groupby(ids)]


if __name__ == "__main__":
    main()
