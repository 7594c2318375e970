"""Boxes and labels drawn on an image, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2

from edge.draw.colors import class_color
from edge.draw.lettering import FONT, REFERENCE_HEIGHT_PX, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edge.model.description import Description
    from edge.results.detections import Detections


def draw_inplace(
    image: NDArray[np.uint8], detections: Detections, description: Description
) -> None:
    """Draw what a detector saw on `(H, W, 3)` uint8, B G R."""
    annotate_inplace(image, detections, description.labels)


def annotate_inplace(
    image: NDArray[np.uint8], detections: Detections, labels: Sequence[str]
) -> None:
    """Draw each detection's box, label and score.

    Args:
        image: `(H, W, 3)` uint8, B G R; drawn on.
        detections: In this image's pixels.
        labels: Text of each class id.
    """
    # The best last, so that nothing lies over it.
    for row in range(len(detections) - 1, -1, -1):
        class_id = int(detections.class_ids[row])
        track = "" if detections.track_ids is None else f" #{detections.track_ids[row]}"
        text = f"{labels[class_id]} {detections.scores[row]:.2f}{track}"
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
        text: What of it can be drawn is; OpenCV below 5 has ASCII only.
        color: B, G, R.
    """
    text = printable(text)
    unit = max(1.0, image.shape[0] / REFERENCE_HEIGHT_PX)
    x1, y1, x2, y2 = (round(float(side)) for side in box)
    thickness = round(2 * unit)
    scale = 0.5 * unit
    cv2.rectangle(image, (x1, y1), (x2 - 1, y2 - 1), color, thickness)
    (width, height), baseline = cv2.getTextSize(text, FONT, scale, max(1, thickness // 2))
    top = max(y1, height + baseline)
    left = min(x1, max(0, image.shape[1] - width))
    cv2.rectangle(image, (left, top - height - baseline), (left + width, top), color, cv2.FILLED)
    origin = (left, top - baseline // 2)
    cv2.putText(image, text, origin, FONT, scale, (0, 0, 0), max(1, thickness // 2), cv2.LINE_AA)
