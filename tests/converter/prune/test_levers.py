"""A lever is chosen by what it sees, whatever grid it sees that on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from converter.prune import levers
from edge.results.detections import Detections

CELL_PX, OBJECTS, IMAGES = 8, 20, 16


class SnappingViews:
    """A model whose boxes lie on its grid, `offset_px` off the whole one's, but for `lost` ones."""

    task = "detection"

    def __init__(self, file):
        self._file, self.seen, self.paths = file, [], []

    def add(self, paths, *, progress=None):
        self.paths = [*self.paths, *paths]
        self.seen = [self._boxes(path, self._file.offset_px) for path in paths]

    def moved(self, moves, *, step_px, progress=None):
        steps = (step_px, -step_px, step_px, -step_px)[:moves]
        return [tuple(self._boxes(path, step) for path in self.paths) for step in steps]

    def _boxes(self, path, offset_px):
        random = np.random.default_rng(int(path.stem))
        corners = random.uniform(0, 400, (OBJECTS, 2))[self._file.lost :]
        snapped = np.round((corners - offset_px) / CELL_PX) * CELL_PX + offset_px
        boxes = np.hstack([snapped, snapped + 30]).astype(np.float32)
        count = len(boxes)
        return Detections(boxes, np.full(count, 0.9, np.float32), np.zeros(count, np.int32))


def model(offset_px=0, lost=0):
    described = SimpleNamespace(score_threshold=0.5)
    return SimpleNamespace(description=described, offset_px=offset_px, lost=lost)


def test_a_model_on_another_grid_is_nearer_than_one_on_the_same_that_sees_less(monkeypatch):
    monkeypatch.setattr(levers, "Views", SnappingViews)
    monkeypatch.setattr(levers, "refuse_quantized", lambda _: None)
    images = [Path(f"{number}.png") for number in range(levers.HELD_BACK * IMAGES)]
    pulled = levers.Levers(model(), images)
    same, elsewhere, poorer = map(pulled._distance, (model(), model(2), model(lost=3)))
    assert same > 0  # it lies on a grid as well
    assert max(same, elsewhere) < poorer
