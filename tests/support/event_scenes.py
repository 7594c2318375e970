"""Frames of tracked objects for the stage `zones`, and what it told of them."""

from __future__ import annotations

import factories
import numpy as np

from edge.config.reading import parse
from edge.results.detections import Detections
from edge.stages.zones import Zones

LABELS = ("person", "car", "dog")
FRAME_S = 0.1
SIZE = 0.1
LEFT = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]
RIGHT = [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]
# Looking down the picture: who walks to the left comes in, who walks to the right goes out.
GATE = {"name": "gate", "from": [0.5, 0.2], "to": [0.5, 0.8]}


class Scene:
    """Frames of one stage: each is rows of track id, x and y of the foot, and perhaps more."""

    def __init__(self, memory=None, **tables):
        self.memory = {} if memory is None else memory
        self.stage = Zones(parse({"events": {}} | tables), LABELS, self.memory)
        self.events = []
        self.counts = {}
        self.time_s = 0.0

    def frame(self, *rows, after_s=FRAME_S, camera="camera", stationary=False, **changes):
        self.time_s += after_s
        table = [(*row, *(0.9, 0)[len(row) - 3 :]) for row in rows]
        seen = self.stage.process(
            factories.observation(
                camera=camera,
                size_wh=(200, 100),
                source_ns=round(self.time_s * 1e9),
                captured_utc_ns=10**18 + round(self.time_s * 1e9),
                result=detections(table, stationary=stationary),
                **changes,
            )
        )
        self.events += seen.events
        self.counts = seen.counts
        return seen

    def stand(self, *rows, seconds, **changes):
        for _ in range(round(seconds / FRAME_S)):
            self.frame(*rows, **changes)

    def told(self):
        return [(each.kind, each.track_id, each.zone or each.direction) for each in self.events]


def detections(table, *, stationary=False):
    array = np.array(table, np.float64).reshape(-1, 5)
    x, y = array[:, 1], array[:, 2]
    boxes = np.stack([x - SIZE / 2, y - SIZE, x + SIZE / 2, y], axis=1) * (200, 100, 200, 100)
    return Detections(
        boxes.astype(np.float32),
        array[:, 3].astype(np.float32),
        array[:, 4].astype(np.int32),
        track_ids=array[:, 0].astype(np.int64),
        stationary=np.full(len(array), stationary),
    )


def zone(**changes):
    return {"name": "left", "polygon": LEFT} | changes
