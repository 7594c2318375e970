"""Boxes and labels drawn on an image, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2

from edge.draw.colors import class_color
from edge.draw.lettering import REFERENCE_HEIGHT_PX, write_inplace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.model.description import Description
    from edge.results.detections import Detections


def draw_inplace(
    image: NDArray[np.uint8], detections: Detections, description: Description
) -> None:
    """Draw box, label and score of each detection, pixels of this `(H, W, 3)` uint8, B G R."""
    # The best last, so that nothing lies over it.
    for row in range(len(detections) - 1, -1, -1):
        class_id = int(detections.class_ids[row])
        track = "" if detections.track_ids is None else f" #{detections.track_ids[row]}"
        text = f"{description.labels[class_id]} {detections.scores[row]:.2f}{track}"
        draw_box_inplace(image, detections.boxes[row], text, color=class_color(class_id))


def draw_box_inplace(
    image: NDArray[np.uint8],
    box: NDArray[np.float32] | tuple[float, float, float, float],
    text: str,
    *,
    color: tuple[int, int, int],
) -> None:
    """Draw one box and a text over it, or inside it where there is no room.

    Args:
        image: `(H, W, 3)` uint8, B G R; drawn on.
        box: x_min, y_min, x_max, y_max, pixels.
        text: As of `write_inplace`.
        color: B, G, R.
    """
    x1, y1, x2, y2 = (round(float(side)) for side in box)
    thickness = round(2 * max(1.0, image.shape[0] / REFERENCE_HEIGHT_PX))
    cv2.rectangle(image, (x1, y1), (x2 - 1, y2 - 1), color, thickness)
    write_inplace(image, text, (x1, y1), color=color)
