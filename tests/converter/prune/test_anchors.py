"""Anchors go along with the places that a net's maps look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from converter.graph.building import Builder
from converter.graph.building_images import Window, convolution
from converter.prune.anchors import _places, moved
from converter.prune.resizing import resized
from converter.quantize.running import tapped

BOXES = 2


def net_of(side):
    """Return a net of one channel whose filters are alike on both sides of their middles."""
    b = Builder({"image": (1, side, side, 1)})
    value = "image"
    for _ in range(3):
        window = Window((3, 3), (2, 2)).same(b.shape(value)[1:3])
        value = convolution(
            b, value, np.ones((1, 1, 3, 3), np.float32), bias=np.zeros(1, np.float32), window=window
        )
    filters = np.ones((4 * BOXES, 1, 1, 1), np.float32)
    window = Window((1, 1), (1, 1)).same(b.shape(value)[1:3])
    value = convolution(b, value, filters, bias=np.zeros(4 * BOXES, np.float32), window=window)
    high, wide = b.shape(value)[1:3]
    boxes = b.reshape(value, (1, high * wide * BOXES, 4))
    return b.graph([boxes])


def anchors_of(cells, sides):
    middle = (np.arange(cells) + 0.5) / cells
    centres = np.stack(np.meshgrid(middle, middle, indexing="ij"), axis=-1).reshape(-1, 1, 2)
    places = np.repeat(centres, len(sides), axis=1)
    return np.concatenate([places, np.broadcast_to(sides, places.shape)], -1).reshape(-1, 4)


@pytest.mark.parametrize("side", [64, 60, 58, 57])
def test_a_cell_s_place_is_the_middle_of_all_that_it_sees(side):
    graph = net_of(side)
    map_ = graph.ops[-2].output
    rows = np.repeat(np.eye(side, dtype=np.float32)[:, :, None, None], side, axis=2)
    seen = [run[0] for run in tapped(graph, [map_], [[row[None]] for row in rows])]
    seen = np.array([each[0, :, each.shape[2] // 2, 0] for each in seen])  # row lit, cell
    ((step, first), _) = _places(graph, [map_])[0]
    assert step == 8
    for cell in range(2, seen.shape[1] - 2):  # those that see no border
        middle = np.average(np.arange(side) + 0.5, weights=seen[:, cell])
        assert first + step * cell == pytest.approx(middle)


# 60 is padded in front once, 56 never, 57 thrice, with as many cells: what is seen lies elsewhere.
@pytest.mark.parametrize(("side", "cells"), [(56, 7), (57, 8)])
def test_anchors_keep_their_distance_from_what_is_seen_and_their_sides_in_pixels(side, cells):
    whole = net_of(60)
    sides = np.array([[0.2, 0.3], [0.5, 0.4]])
    anchors = anchors_of(8, sides).astype(np.float32)
    small = resized(whole, (side, side), path=Path("net"))
    found = moved(anchors, (whole, small), whole.outputs[0])
    assert found.shape == (cells * cells * BOXES, 4)
    np.testing.assert_allclose(found[:BOXES, 2:] * side, sides * 60, rtol=1e-5)
    at, to = (_places(graph, [graph.ops[-2].output])[0][0] for graph in (whole, small))
    assert at[1] != to[1]
    old = [at[1] + 8 * cell - anchors[cell * 8 * BOXES, 0] * 60 for cell in (0, 7)]
    last = cells - 1
    new = [to[1] + 8 * cell - found[cell * cells * BOXES, 0] * side for cell in (0, last)]
    np.testing.assert_allclose(new, old, atol=1e-4)


def test_its_own_size_keeps_the_anchors_and_others_are_refused():
    whole = net_of(60)
    anchors = anchors_of(8, np.array([[0.2, 0.3], [0.5, 0.4]])).astype(np.float32)
    again = resized(whole, (60, 60), path=Path("net"))
    np.testing.assert_allclose(moved(anchors, (whole, again), whole.outputs[0]), anchors)
    assert moved(anchors + 0.01, (whole, again), whole.outputs[0]) is None
