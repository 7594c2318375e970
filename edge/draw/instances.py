"""Instances drawn on an image, for people: of each a tint, an outline and its box."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.draw import boxes
from edge.draw.colors import class_color
from edge.draw.lettering import REFERENCE_HEIGHT_PX
from edge.draw.masks import INSIDE, cover, outline_inplace, tint_inplace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.description import Description
    from edge.results.instances import Instances, Mask


def draw_inplace(image: NDArray[np.uint8], seen: Instances, description: Description) -> None:
    """Draw what a model of instance masks saw on `(H, W, 3)` uint8, B G R."""
    unit = max(1.0, image.shape[0] / REFERENCE_HEIGHT_PX)
    # The best last, so that nothing lies over it.
    for row in range(len(seen) - 1, -1, -1):
        covered, (rows, columns) = _on_image(seen.masks[row], image.shape[:2])
        if covered.size:
            color = class_color(int(seen.class_ids[row]))
            tint_inplace(image[rows, columns], covered, color)
            outline_inplace(image[rows, columns], covered, color, unit=unit)
    boxes.draw_inplace(image, seen, description)


def pixels(mask: Mask, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which pixels of an image `(H, W)` an object covers, by half or more."""
    found = np.zeros(shape, np.bool_)
    covered, (rows, columns) = _on_image(mask, shape)
    np.greater_equal(covered, INSIDE, out=found[rows, columns])
    return found


def _on_image(mask: Mask, shape: tuple[int, ...]) -> tuple[NDArray[np.uint8], tuple[slice, slice]]:
    """Return how much of each pixel is covered, 0 to 255, and in which rows and columns."""
    height, width = shape
    x1, y1, x2, y2 = (round(side) for side in mask.box)
    if x2 <= x1 or y2 <= y1:
        return np.zeros((0, 0), np.uint8), (slice(0), slice(0))
    covered = cover(mask.cells, (y2 - y1, x2 - x1))
    rows, columns = slice(max(0, y1), min(height, y2)), slice(max(0, x1), min(width, x2))
    return covered[rows.start - y1 : rows.stop - y1, columns.start - x1 : columns.stop - x1], (
        rows,
        columns,
    )
