#!/usr/bin/env python3
"""Judge our association beside `trackers`' ByteTrack, on the same detections of drawn scenes.

People walk, turn, cross and hide each other; each is missed now and then, seen badly where it is
half hidden, with noise, and there are false detections. Drawn scenes are not streets: they tell one
association from another, no more. `trackers` and its HOTA are in an environment of their own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from bench_peers_worker import ensure_environment

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".envs" / "tracking"
PACKAGE = "trackers==2.6.1"
SCENES, SECONDS, FRAME_WH = 8, 20, (1280, 720)
RATES_HZ = (30, 10, 5)
SCORE, LOW_SCORE, LOST_S = 0.5, 0.1, 1.0
MISSED, FALSE = 0.06, 0.4  # of each object; false ones a frame
SMALL_PX = np.array([50, 120])  # a false one
# From so much of an object hidden on, it is seen badly, and from so much on not at all.
BADLY, NOT_AT_ALL = 0.35, 0.75


def main() -> None:
    """Print a table."""
    sys.path.insert(0, str(ROOT))
    python = ensure_environment(ENVIRONMENT, (PACKAGE,))
    judge = Path(__file__).parent / "peers" / "trackers_hota.py"
    print(f"{PACKAGE}, {SCENES} drawn scenes of {SECONDS} s, seeds 0 to {SCENES - 1}")
    for rate_hz in RATES_HZ:
        scenes = [_followed(drawn(seed, rate_hz=rate_hz)) for seed in range(SCENES)]
        with tempfile.TemporaryDirectory() as folder:
            np.savez(Path(folder) / "scenes.npz", scenes=np.array(scenes, dtype=object))
            told = subprocess.run([python, judge, folder], check=True, capture_output=True)
        for name, figures in json.loads(told.stdout).items():
            words = ", ".join(f"{key} {100 * value:.1f}" for key, value in figures.items())
            print(f"{rate_hz:3} frames/s  {name:12} {words}")


def drawn(seed: int, *, rate_hz: int) -> dict[str, Any]:
    """Return the truth of a scene, id and box of each frame `(N, 5)`, and its detections."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(8, 21))
    at, speed = rng.uniform(0, 1, (count, 2)) * FRAME_WH, rng.normal(0, 90, (count, 2))
    heights = rng.uniform(80, 240, count)
    truth, detections = [], []
    for _ in range(SECONDS * rate_hz):
        speed += rng.normal(0, 60, (count, 2)) / np.sqrt(rate_hz)
        at += speed / rate_hz
        speed = np.where((at < 0) | (at > FRAME_WH), -speed, speed)
        half = np.stack([heights * 0.2, heights / 2], axis=1)
        boxes = np.hstack([at - half, at + half])
        hidden = _hidden(boxes)
        truth.append(np.column_stack([np.arange(count), boxes])[hidden < NOT_AT_ALL])
        detections.append(_detected(boxes, hidden, rng))
    return {"truth": truth, "detections": detections, "rate_hz": rate_hz, "score": SCORE,
            "lost_s": LOST_S}  # fmt: skip


def _hidden(boxes: np.ndarray) -> np.ndarray:
    """Return which share of each box is hidden by the one that hides most and stands before it."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    is_before = boxes[None, :, 3] > boxes[:, None, 3]
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return (shared * is_before / area[:, None]).max(axis=1)


def _detected(boxes: np.ndarray, hidden: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return detections of a frame, box and score `(N, 5)`, by falling score."""
    scores = np.where(
        hidden > BADLY, rng.uniform(0.12, 0.55, len(boxes)), rng.uniform(0.45, 1, len(boxes))
    )
    seen = (hidden < NOT_AT_ALL) & (rng.uniform(size=len(boxes)) > MISSED)
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    found = np.column_stack([boxes + rng.normal(0, 0.03, boxes.shape) * sides, scores])[seen]
    corner = rng.uniform(0, 1, (rng.poisson(FALSE), 2)) * FRAME_WH
    false = np.column_stack([corner, corner + SMALL_PX, rng.uniform(0.12, 0.7, len(corner))])
    table = np.vstack([found, false])
    return table[(-table[:, 4]).argsort(kind="stable")]


def _followed(scene: dict[str, Any]) -> dict[str, Any]:
    """Add our tracks, id and box of each frame `(N, 5)`."""
    from edge.config.sections import Tracking  # noqa: PLC0415 - found only once the root is on the path
    from edge.results.detections import Detections  # noqa: PLC0415
    from edge.results.observation import Observation  # noqa: PLC0415
    from edge.stages.tracking import Tracker  # noqa: PLC0415

    tracker = Tracker(Tracking(low_score_threshold=LOW_SCORE, lost_s=LOST_S), SCORE, {})
    ours = []
    for number, table in enumerate(scene["detections"]):
        boxes, scores = table[:, :4].astype(np.float32), table[:, 4].astype(np.float32)
        found = Detections(boxes, scores, np.zeros(len(table), np.int32))
        clock_ns = round(number * 1e9 / scene["rate_hz"])
        seen = tracker.process(
            Observation("camera", number, 0, clock_ns, FRAME_WH, found, {}, 0.0, 0)
        ).result
        ours.append(np.column_stack([seen.track_ids, seen.boxes]))
    return scene | {"ours": ours}


if __name__ == "__main__":
    main()
