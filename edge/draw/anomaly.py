"""The heat map of an anomaly laid over its image, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.draw.lettering import write_line_inplace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.description import Description
    from edge.results.anomaly import Anomaly

RED, GREEN = (48, 48, 255), (96, 220, 96)  # B G R
TINT = 0.6


def draw_inplace(image: NDArray[np.uint8], seen: Anomaly, description: Description) -> None:  # noqa: ARG001 - no label has a meaning here
    """Tint `(H, W, 3)` uint8, B G R, the more the nearer a cell's error is to the threshold."""
    height, width = image.shape[:2]
    ratios = np.minimum(seen.heat / np.float32(seen.threshold), 1)  # (rows, columns)
    cover = cv2.resize(ratios, (width, height), interpolation=cv2.INTER_LINEAR)[..., None]
    image[:] = (image + (np.array(RED, np.float32) - image) * (cover * np.float32(TINT))).round()
    text = f"error {seen.error:.4g} of {seen.threshold:.4g}"
    write_line_inplace(image, text, color=RED if seen.is_anomaly else GREEN)
