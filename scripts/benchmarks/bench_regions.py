"""What `[regions]` gives and costs: `scripts/bench --regions --assets FOLDER`.

It takes some 2 minutes of a core, and took 11 of the clock on a machine with a load of 12.

Recall: labelled objects that the model finds in their own images of the development set, shrunk
and pasted, with something of those images around them, into scenes of 1080p and 4K that are made
by a seed, with a sensor's noise; two of three move all the time, the others rest after a second.
An object counts as found on a frame where a detection of its label reaches the model's own score
threshold and IoU 0.5; a detection that finds none is false. Each way sees the same frames at 30 Hz,
none dropped; of a frame that was left out the last result counts.

Still scene: frames with that noise, in memory, as fast as they go; the time of all threads of the
process, so that no camera and no decoding of a video is counted, but capture, preprocess, invoke,
decode are. So is the time of the process beside recall, less that of drawing the scenes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from bench_regions_scenes import (
    FRAMES,
    LEAST_PX,
    NOISE_LEVELS,
    RATE_HZ,
    SIZES_WH,
    ground,
    scenes,
    shaken,
    side,
)
from bench_workers import RamSource

from edge import app
from edge.capture.latest import CaptureThread, Turns
from edge.config.reading import parse
from edge.cores import switching_soon
from edge.model.loaded import load_model
from edge.pipeline import Behaviour, Pipeline
from edge.preprocess import use_one_thread
from edge.regions.looking import RegionModel
from edge.results.detections import pairwise_iou
from edge.terminal import table

if TYPE_CHECKING:
    from bench_regions_scenes import Scene
    from numpy.typing import NDArray

    from edge.model.loaded import LoadedModel
    from edge.results.observation import Observation

BUDGETS = (1.0, 1.3)
HIGHER_SCORE = 0.6
# Sides of objects, pixels, as COCO divides them by area.
SMALL_PX, LARGE_PX = 32, 96
SAME_IOU = 0.5
STILL_FRAMES = 1500, 150
STILL_WH = (1920, 1080)


def known_objects(plain: LoadedModel, assets: Path) -> set[int]:
    """Return the ids of the annotations that the model finds in their own images."""
    folder = assets / "data" / "coco_train178"
    given = json.loads((folder / "instances.json").read_text())
    names = {row["id"]: row["name"] for row in given["categories"]}
    found: set[int] = set()
    for image in given["images"]:
        rows = [row for row in given["annotations"] if row["image_id"] == image["id"]]
        rows = [row for row in rows if not row["iscrowd"] and side(row) >= LEAST_PX]
        boxes = np.array([row["bbox"] for row in rows], float).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        result = plain(cv2.imread(str(folder / "images" / image["file_name"])))
        labels = [names[row["category_id"]] for row in rows]
        pairs, _ = matched(result, boxes, names=labels, labels=plain.description.labels)
        found |= {rows[number]["id"] for number in pairs}
    return found


class Counted(RegionModel):
    """Counts its invokes."""

    looks = 0

    def invoke(self, buffer: Any, *, out: Any) -> None:  # noqa: ANN401
        """Run the model on each look."""
        self.looks += len(buffer.placement.parts)
        super().invoke(buffer, out=out)


def run(model: LoadedModel, source: Any) -> tuple[list[Observation], float]:  # noqa: ANN401
    """Return what is seen on the frames of a source, and the seconds of all threads."""
    seen: list[Observation] = []
    began_s = time.process_time()
    with CaptureThread(source, model.input_buffers(), camera="scene") as capture, switching_soon():
        Pipeline(
            Turns([capture]),
            Behaviour(model),
            [lambda each: seen.append(replace(each, result=each.result.copy()))],
        ).run()
    return seen, time.process_time() - began_s


@dataclass
class Score:
    """Sums of the scenes of one size, seen in one way."""

    objects: Counter[str]
    found: Counter[str]
    false: int = 0
    frames: int = 0
    invokes: int = 0
    cpu_s: float = 0.0

    def add(self, seen: list[Observation], scene: Scene, labels: tuple[str, ...]) -> None:
        """Compare what was seen with the truth; a frame that was left out is what was seen last."""
        by_frame = {each.sequence: each.result for each in seen}
        result = None
        for frame in range(FRAMES):
            result = by_frame.get(frame, result)
            boxes, names = scene.truth(frame)
            pairs, false = matched(result, boxes, names=names, labels=labels)
            self.false += false
            self.frames += 1
            for row, box in enumerate(boxes):
                if not names[row]:
                    continue
                px = float(np.sqrt((box[2] - box[0]) * (box[3] - box[1])))
                kind = "small" if px < SMALL_PX else "medium" if px < LARGE_PX else "large"
                self.objects[kind] += 1
                self.found[kind] += row in pairs


def matched(
    result: Any,  # noqa: ANN401
    boxes: NDArray[np.float64],
    *,
    names: list[str],
    labels: tuple[str, ...],
) -> tuple[set[int], int]:
    """Return which objects were found, and how many detections found none."""
    pairs: set[int] = set()
    false = 0
    is_unnamed = np.array([not name for name in names], bool)
    for ious, class_id in zip(pairwise_iou(result.boxes, boxes), result.class_ids, strict=True):
        is_free = [row not in pairs and name == labels[class_id] for row, name in enumerate(names)]
        fitting = np.flatnonzero(np.array(is_free, bool) & (ious >= SAME_IOU))
        if len(fitting):
            pairs.add(int(max(fitting, key=lambda row: (ious[row], row))))
        elif not (is_unnamed & (ious >= SAME_IOU)).any():
            false += 1
    return pairs, false


def looking(plain: LoadedModel, invokes_per_frame: float) -> Counted:
    """Return the model with regions."""
    return Counted(plain, parse({"regions": {"invokes_per_frame": invokes_per_frame}}))


def measure(plain: LoadedModel, assets: Path, name: str, *, known: set[int]) -> list[list[str]]:
    """Return the rows of one size."""
    ways = {"whole frame": (plain, 0.0)}
    ways |= {f"{budget:g} invokes": (plain, budget) for budget in BUDGETS}
    ways[f"{BUDGETS[-1]:g} invokes, score {HIGHER_SCORE:g}"] = (
        plain.with_thresholds(score=HIGHER_SCORE),
        BUDGETS[-1],
    )
    scores = {way: Score(Counter(), Counter()) for way in ways}
    for scene in scenes(assets, name, known):
        for way, (detector, budget) in ways.items():
            scene.rewind()
            model = looking(detector, budget) if budget else detector
            seen, cpu_s = run(model, scene)
            scores[way].add(seen, scene, plain.description.labels)
            scores[way].invokes += model.looks if isinstance(model, Counted) else len(seen)
            scores[way].cpu_s += cpu_s - scene.drawn_s
    return [row(name, way, score) for way, score in scores.items()]


def row(name: str, way: str, score: Score) -> list[str]:
    """Return one row of the table."""
    recalls = [
        f"{score.found[kind] / max(1, score.objects[kind]):.3f}"
        for kind in ("small", "medium", "large")
    ]
    return [
        *(name, way, *recalls),
        f"{sum(score.found.values()) / max(1, sum(score.objects.values())):.3f}",
        f"{score.false / score.frames:.2f}",
        f"{score.invokes / score.frames:.2f}",
        f"{score.cpu_s / score.frames * 1e3:.1f}",
    ]


def still(plain: LoadedModel) -> tuple[list[float], list[float]]:
    """Return milliseconds of the process a frame, with regions and whole, pair by pair."""
    rng = np.random.default_rng(5)
    image = ground(STILL_WH, rng)
    noise = np.repeat(rng.normal(0, NOISE_LEVELS, (*image.shape[:2], 1)), 3, axis=2)
    images = [shaken(image, noise.astype(np.int16), number) for number in range(6)]
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(5):
        for column, model, frames in zip(
            times, (looking(plain, BUDGETS[-1]), plain), STILL_FRAMES, strict=True
        ):
            source = RamSource(images, frames=frames, rate_hz=RATE_HZ)
            column.append(run(model, source)[1] / frames * 1e3)
    return times


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=Path, required=True, help="the development assets")
    arguments = parser.parse_args()
    use_one_thread()
    plain = load_model(app.read_model(None))
    known = known_objects(plain, arguments.assets)
    heads = ["scene", "way", "small", "medium", "large", "all", "false a frame", "invokes a frame",
             "CPU ms a frame"]  # fmt: skip
    ours, whole = still(plain)
    ratio = np.median(np.divide(ours, whole))
    print("Still scene, 1080p, milliseconds of the process a frame, medians of pairs:")
    print(f"{np.median(ours):.3f} with regions, {np.median(whole):.3f} without: {ratio:.1%}\n")
    print("Recall by size of the object (below 32 px, to 96 px, above; square root of the area):\n")
    for name in SIZES_WH:
        rows = measure(plain, arguments.assets, name, known=known)
        print(table.render(heads, rows), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
