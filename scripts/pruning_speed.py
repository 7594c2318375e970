"""Print how much faster int8 is once a part of all channels is gone, whatever it then sees.

The first channels of each group stay, in the multiples that pruning keeps. Times are CPU time of
one thread, the whole model and the cut one in turn. Needs the `converter` extra and the development
assets.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from accuracy_page import write_between  # noqa: E402
from accuracy_table import find_assets  # noqa: E402
from pruning_table import macs_of, whole_model  # noqa: E402
from without_amx import forbid_amx  # noqa: E402

from converter.choice import InputChoice, Origin  # noqa: E402
from converter.graph.reading import read  # noqa: E402
from converter.graph.writing import write  # noqa: E402
from converter.importers.facts import complete  # noqa: E402
from converter.prune.channels import channels, multiple  # noqa: E402
from converter.prune.cutting import pruned  # noqa: E402
from converter.prune.measures import Times  # noqa: E402
from converter.quantize.running import prepared  # noqa: E402
from converter.train.nets import unet  # noqa: E402
from converter.train.nets.wish import Wish  # noqa: E402

if TYPE_CHECKING:
    from edge.model.model_file import ModelFile

PARTS = (0.3, 0.5)
GOALS = {0.3: 1.5, 0.5: 2.2}
LOOKS = 4
# What makes it, its input, and the factor of its channels.
UNETS = {
    "unet_classic_128": (unet.same, 128, 0.5),
    "unet_mobilenet_256": (unet.mobilenet, 256, 1.0),
}
NETS = ("ssdlite_mobilenet_v2", "yolov3_tiny", *UNETS)
GIGA = 1e9


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="scripts/pruning_speed", description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", choices=NETS)
    parser.add_argument(
        "--amx", action="store_true", help="let kernels have AMX tiles, which no board has"
    )
    parser.add_argument("--write", metavar="FILE", type=Path, help="the page, docs/pruning.md")
    arguments = parser.parse_args()
    if not arguments.amx:
        forbid_amx()
    rows = [
        "| net | channels gone | GMACs | of the whole | int8, times as fast | goal |",
        "|---|---|---|---|---|---|",
    ]
    for name in arguments.only or NETS:
        print(f"pruning_speed: {name} …", file=sys.stderr)
        rows += _rows(name, net_of(name))
    print("\n".join(rows))
    if arguments.write:
        write_between(arguments.write, "\n".join(rows), script="pruning_speed")
    return 0


def net_of(name: str) -> ModelFile:
    """Return a float model: of the assets, or a U-Net with He's weights."""
    if name not in UNETS:
        return whole_model(name)
    make, side, width = UNETS[name]
    draft = make(Wish(("background", "cell"), (side, side), width=width))
    origin = Origin(name=name, source="this repository", license="MIT")
    return complete(draft, Path(f"{name}.tflite"), family=None, origin=origin,
                    choice=InputChoice())  # fmt: skip


def _rows(name: str, file: ModelFile) -> list[str]:
    images = sorted((find_assets() / "data/coco_train178/images").iterdir())[:LOOKS]
    times = Times(file, prepared(images, file.description.input))
    whole = channels(read(file.flatbuffer, file.path))
    made = []
    for part in PARTS:
        kept = {}
        for key, group in whole.groups.items():
            step = multiple(len(group))
            count = max(step, round(len(group) * (1 - part) / step) * step)
            kept[key] = np.arange(len(group)) < count
        other = replace(file, flatbuffer=write(pruned(whole, kept)))
        gone = 1 - sum(map(np.sum, kept.values())) / sum(map(len, kept.values()))
        macs, before = macs_of(other), macs_of(file)
        made.append(
            f"| {name} | {gone:.0%} | {macs / GIGA:.2f} | {macs / before:.2f} "
            f"| {times.gain(other):.2f} | {GOALS[part]:g} |"
        )
    return made


if __name__ == "__main__":
    sys.exit(main())
