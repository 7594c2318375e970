"""Anchors: those of the SSD paper's scales, and those that k-means finds in a labelled set."""

from __future__ import annotations

from itertools import pairwise, product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Sides = Sequence[Sequence[tuple[float, float]]]  # of each grid, its anchors' (height, width)

# Source: Liu et al. 2016, section 2.2 and 3.1, as the detection API's `ssd_anchor_generator` of the
# COCO models has them: scales of the grids, aspect ratios, and fewer anchors in the finest grid.
SCALES = 0.2, 0.95
RATIOS = (1.0, 2.0, 1 / 2, 3.0, 1 / 3)
FINEST = ((0.1, 1.0), (SCALES[0], 2.0), (SCALES[0], 1 / 2))
ROUNDS = 100
# Of SSD300: sides of its grids' anchors, pixels, and how many a cell has. Source: the authors'
# `ssd_pascal.py`, after section 2.2; with the six grids of 300 pixels these are 8,732 anchors.
SSD300_PX = (30, 60, 111, 162, 213, 264, 315)
SSD300_COUNTS = (4, 6, 6, 6, 4, 4)


def paper_sides(grids: int) -> list[list[tuple[float, float]]]:
    """Return the height and width of each anchor of each grid, shares of the input."""
    scales = [*np.linspace(*SCALES, grids), 1.0]
    rows = [_shapes(pair, len(RATIOS)) for pair in pairwise(scales)]
    return [_sides(FINEST), *map(_sides, rows[1:])]


def ssd300_sides() -> list[list[tuple[float, float]]]:
    """Return those of the paper's own net of 300 pixels."""
    pairs = pairwise(side / 300 for side in SSD300_PX)
    return [
        _sides(_shapes(pair, count - 1)) for pair, count in zip(pairs, SSD300_COUNTS, strict=True)
    ]


def _shapes(scales: tuple[float, float], ratios: int) -> list[tuple[float, float]]:
    """Return scale and aspect of some ratios, and of a square between this scale and the next."""
    between = float(np.sqrt(scales[0] * scales[1]))
    return [*((scales[0], ratio) for ratio in RATIOS[:ratios]), (between, 1.0)]


def _sides(shapes: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(scale / np.sqrt(ratio), scale * np.sqrt(ratio)) for scale, ratio in shapes]


def laid_out(grids_hw: Sequence[tuple[int, int]], sides: Sides) -> Array:
    """Return `(A, 4)` (cy, cx, h, w), shares of the input: grid, row, column, anchor."""
    rows = [
        ((row + 0.5) / high, (column + 0.5) / wide, *pair)
        for (high, wide), pairs in zip(grids_hw, sides, strict=True)
        for row, column in product(range(high), range(wide))
        for pair in pairs
    ]
    return np.array(rows, np.float32)


def shape_iou(boxes_wh: NDArray[np.floating], anchors_wh: NDArray[np.floating]) -> Array:
    """Return `(N, K)`, the IoU of boxes and anchors of one centre."""
    overlap = np.minimum(boxes_wh[:, None], anchors_wh[None]).prod(axis=2)
    areas = boxes_wh.prod(axis=1)[:, None] + anchors_wh.prod(axis=1)[None]
    return np.asarray(overlap / np.maximum(areas - overlap, 1e-12), np.float32)


def clustered(boxes_wh: NDArray[np.floating], count: int, *, seed: int) -> NDArray[np.float64]:
    """Return `(count, 2)` widths and heights by rising area: k-means in the distance 1 - IoU.

    The centres start at boxes that are far from each other (k-means++), and are medians, which a
    few odd boxes don't pull away. Fewer different boxes than centres give some twice.

    Source: Redmon and Farhadi 2017, "YOLO9000", section 2, "Dimension Clusters".
    """
    random = np.random.default_rng(seed)
    boxes = np.asarray(boxes_wh, np.float64)
    centres = boxes[[random.integers(len(boxes))]]
    while len(centres) < count:
        far = (1 - shape_iou(boxes, centres).max(axis=1)).astype(np.float64).clip(1e-9) ** 2
        centres = np.vstack([centres, boxes[random.choice(len(boxes), p=far / far.sum())]])
    nearest = np.full(len(boxes), -1)
    for _ in range(ROUNDS):
        found = shape_iou(boxes, centres).argmax(axis=1)
        if (found == nearest).all():
            break
        nearest = found
        for number in np.unique(nearest):
            centres[number] = np.median(boxes[nearest == number], axis=0)
    return centres[np.argsort(centres.prod(axis=1), kind="stable")]
