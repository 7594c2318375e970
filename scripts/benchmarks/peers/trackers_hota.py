"""Run ByteTrack of `trackers` on scenes, and judge its tracks and others by the HOTA of `trackers`.

Reads `scenes.npz` of the folder that it is given; prints a JSON object of name to HOTA, AssA, DetA.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import supervision as sv
from trackers import ByteTrackTracker
from trackers.eval import compute_hota_metrics

FIRST_CORNER, LAST_CORNER = slice(0, 2), slice(2, 4)


def main() -> None:
    """Print the figures."""
    scenes = np.load(Path(sys.argv[1]) / "scenes.npz", allow_pickle=True)["scenes"]
    judged = {"edge-vision": [], "trackers": []}
    for scene in scenes:
        truth = scene["truth"]
        judged["edge-vision"].append(_judged(truth, scene["ours"]))
        judged["trackers"].append(_judged(truth, _byte_track(scene)))
    means = {
        name: {key: float(np.mean([one[key] for one in found])) for key in ("HOTA", "AssA", "DetA")}
        for name, found in judged.items()
    }
    print(json.dumps(means))


def _byte_track(scene: dict) -> list[np.ndarray]:
    """Return id and box of each track of each frame, `(N, 5)`."""
    tracker = ByteTrackTracker(
        frame_rate=scene["rate_hz"],
        lost_track_buffer=round(30 * scene["lost_s"]),
        track_activation_threshold=scene["score"],
        high_conf_det_threshold=scene["score"],
        minimum_consecutive_frames=1,
    )
    tracks = []
    for table in scene["detections"]:
        found = sv.Detections(
            xyxy=table[:, :4], confidence=table[:, 4], class_id=np.zeros(len(table), int)
        )
        seen = tracker.update(found)
        ids = seen.tracker_id if len(seen) else np.zeros(0, int)
        rows = np.column_stack([ids, seen.xyxy])
        tracks.append(rows[rows[:, 0] >= 0])
    return tracks


def _judged(truth: list[np.ndarray], tracks: list[np.ndarray]) -> dict:
    true_ids = np.unique(np.concatenate([rows[:, 0] for rows in truth]), return_inverse=True)[1]
    ids = np.unique(np.concatenate([rows[:, 0] for rows in tracks]), return_inverse=True)[1]
    splits = [np.cumsum([len(rows) for rows in each])[:-1] for each in (truth, tracks)]
    overlaps = [_ious(one[:, 1:], two[:, 1:]) for one, two in zip(truth, tracks, strict=True)]
    return compute_hota_metrics(np.split(true_ids, splits[0]), np.split(ids, splits[1]), overlaps)


def _ious(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    low = np.maximum(boxes[:, None, FIRST_CORNER], others[None, :, FIRST_CORNER])
    high = np.minimum(boxes[:, None, LAST_CORNER], others[None, :, LAST_CORNER])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [
        (each[:, LAST_CORNER] - each[:, FIRST_CORNER]).prod(axis=1) for each in (boxes, others)
    ]
    return shared / (areas[0][:, None] + areas[1] - shared)


if __name__ == "__main__":
    main()
