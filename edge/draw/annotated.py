"""An observation as people look at it: its picture with what was seen drawn in, as a JPEG."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import cv2
import numpy as np

from edge.messages.detections import is_finite
from edge.tasks import task_for

if TYPE_CHECKING:
    from edge.model.description import Description
    from edge.results.detections import Detections
    from edge.results.observation import Observation

# Of 100; 960 x 540 of the built-in scenes take 50 to 64 kB, and 1.6 ms of CPU (x86).
QUALITY = 80


def jpeg(observation: Observation, description: Description, *, max_side_px: int) -> bytes:
    """Return the picture of an observation, drawn on a copy: others may hold it too.

    Args:
        observation: With a picture; its result is left as it is.
        description: Of the model that made it.
        max_side_px: A larger picture, which somebody else asked for, is reduced to this.
    """
    picture = observation.picture
    if picture is None:
        raise ValueError("expected an observation with a picture, got one without")
    height, width = picture.shape[:2]
    ratio = min(1.0, max_side_px / max(width, height))
    if ratio < 1:
        size_wh = max(1, round(width * ratio)), max(1, round(height * ratio))
        image = np.asarray(cv2.resize(picture, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
    else:
        image = picture.copy()
    task, result = task_for(description), observation.result
    if task.has_boxes:
        found = cast("Detections", result)
        # What a damaged output gives can't be drawn.
        result = found[is_finite(found)].scaled(image.shape[1] / observation.size_wh[0])
    task.draw_inplace(image, result, description)
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return encoded.tobytes()
