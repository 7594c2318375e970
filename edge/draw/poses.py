"""Poses drawn on an image, for people: points, the lines between them, and boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.decode.keypoints import KeypointsHead
from edge.draw import boxes
from edge.draw.colors import class_color
from edge.draw.lettering import REFERENCE_HEIGHT_PX

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.description import Description
    from edge.results.poses import Poses

SHOWN_SCORE = 0.5  # of a point; the less likely ones are guesses about what is hidden
INK = (255, 255, 255)


def draw_inplace(image: NDArray[np.uint8], seen: Poses, description: Description) -> None:
    """Draw what a pose model saw on `(H, W, 3)` uint8, B G R."""
    skeleton = description.head_as(KeypointsHead).skeleton
    unit = max(1.0, image.shape[0] / REFERENCE_HEIGHT_PX)
    boxes.draw_inplace(image, seen, description)
    # The best last, so that nothing lies over it.
    for row in range(len(seen) - 1, -1, -1):
        points = seen.points[row]
        is_shown = np.isfinite(points).all(axis=1) & (points[:, 2] >= SHOWN_SCORE)
        places = [(round(x), round(y)) for x, y in np.nan_to_num(points[:, :2]).tolist()]
        color = class_color(int(seen.class_ids[row]))
        for first, second in skeleton:
            if is_shown[first] and is_shown[second]:
                ends = places[first], places[second]
                cv2.line(image, *ends, color, round(2 * unit), cv2.LINE_AA)
        for number in np.flatnonzero(is_shown).tolist():
            cv2.circle(image, places[number], round(3 * unit), INK, cv2.FILLED, cv2.LINE_AA)
            cv2.circle(image, places[number], round(3 * unit), color, round(unit), cv2.LINE_AA)
