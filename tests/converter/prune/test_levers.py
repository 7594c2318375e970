"""A lever is chosen by what it sees, whatever grid it sees that on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from converter.prune import choosing, levers
from edge.errors import ModelError
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
    rows = [pulled._lost(each) for each in (model(), model(2), model(lost=3))]
    same, elsewhere, poorer = (float(row[0]) for row in rows)
    assert same > 0  # it lies on a grid as well
    assert max(same, elsewhere) < poorer
    assert {row.shape for row in rows} == {(1 + choosing.DRAWS,)}
    assert rows[2][1:].mean() == pytest.approx(poorer, abs=0.05)


def ways(**lost):
    """Return ways of so many distances: the first of all images, then of draws of them."""
    return choosing.Ways(
        dict.fromkeys(lost), {}, {name: np.array(row) for name, row in lost.items()}
    )


def test_of_levers_that_are_about_as_near_the_one_that_changes_least_is_taken():
    near = [0.30, *np.linspace(0.2, 0.4, 100)]
    mostly_further = [0.33, *np.add(near[1:], np.where(np.arange(100) < 90, 0.03, -0.03))]
    found = ways(channels=near, both=near, rank=mostly_further)
    assert found.best == "rank"


def test_a_lever_that_is_nearer_in_all_draws_is_taken_though_it_changes_more():
    near = [0.30, *np.linspace(0.2, 0.4, 100)]
    assert ways(input=np.add(near, 0.01), channels=near).best == "channels"
    assert ways(channels=near).best == "channels"


class ScatteringViews(SnappingViews):
    """A model that sees other things as soon as an image moves."""

    def moved(self, moves, *, step_px, progress=None):
        far = np.float32(1000)
        return [
            tuple(Detections(row.boxes + far, row.scores, row.class_ids) for row in view)
            for view in super().moved(moves, step_px=step_px, progress=progress)
        ]


def test_where_nothing_is_found_again_once_it_moves_the_very_grid_decides(monkeypatch):
    monkeypatch.setattr(levers, "Views", ScatteringViews)
    monkeypatch.setattr(levers, "refuse_quantized", lambda _: None)
    images = [Path(f"{number}.png") for number in range(levers.HELD_BACK * IMAGES)]
    pulled = levers.Levers(model(), images)
    made = {"channels": model(), "input": model(lost=3)}
    lost = {name: pulled._lost(each) for name, each in made.items()}
    assert [row[0] for row in lost.values()] == pytest.approx([1, 1], abs=1e-5)
    assert choosing.Ways(dict.fromkeys(lost), {}, lost).best == "channels"


class Sized:
    """A model whose layers have nothing left to read below an input of `least_px`."""

    def __init__(self, monkeypatch, least_px):
        def with_input(_, size_wh):
            if size_wh[0] < least_px:
                raise ModelError(f"{size_wh[0]} px are too few")
            steps = SimpleNamespace(steps=[f"input {size_wh[0]}"])
            manifest = SimpleNamespace(provenance=steps)
            described = SimpleNamespace(digest=f"sha256:{size_wh[0]}")
            return SimpleNamespace(
                side=size_wh[0], own_manifest=lambda: manifest, description=described
            )

        monkeypatch.setattr(levers, "with_input", with_input)
        monkeypatch.setattr(levers, "refuse_quantized", lambda _: None)
        sides = range(320, 15, -16)
        monkeypatch.setattr(levers, "inputs", lambda *_: [(side, side) for side in sides])
        monkeypatch.setattr(levers.Levers, "_lost", lambda *_: np.zeros(3))
        whole = SimpleNamespace(path="net")
        self.measure = SimpleNamespace(what="times", gain=lambda file: (320 / file.side) ** 2)
        self.levers = levers.Levers(whole, [Path(f"{number}.png") for number in range(16)])

    def shrunk(self, times):
        return self.levers.shrunk(self.measure, times)


def test_inputs_too_small_for_a_layer_leave_the_larger_ones(monkeypatch):
    net = Sized(monkeypatch, least_px=200)
    assert net.shrunk(1.4).step.startswith("input 272: 1.38")
    with pytest.raises(
        ModelError, match=r"expected 4 times to be in reach, found 2.37 at its leas"
    ):
        net.shrunk(4.0)


def test_a_model_of_one_input_says_so(monkeypatch):
    with pytest.raises(ModelError, match="px are too few"):
        Sized(monkeypatch, least_px=320).shrunk(1.4)
