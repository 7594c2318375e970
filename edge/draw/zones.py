"""Zones, lines and masks drawn on an image, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.draw.colors import class_color
from edge.draw.lettering import FONT, REFERENCE_HEIGHT_PX, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.config.sections import Config

    Color = tuple[int, int, int]

MASKED = (96, 96, 96)  # B, G, R
TINT = 0.25


def draw_zones_inplace(
    image: NDArray[np.uint8], config: Config, counts: dict[str, dict[str, int]], *, camera: str
) -> None:
    """Draw the zones, lines and masks of a camera, each with its name and its counts.

    Args:
        image: `(H, W, 3)` uint8, B G R; drawn on.
        config: Its zones, lines and masks.
        counts: As of an observation; may be empty.
        camera: Its name.
    """
    for mask in config.masks:
        if mask.camera in (None, camera):
            _fill_inplace(image, mask.polygon, MASKED)
    for number, zone in enumerate(config.zones):
        if zone.camera in (None, camera):
            color = class_color(number)
            _fill_inplace(image, zone.polygon, color)
            _write_inplace(image, zone.polygon[0], _title(zone.name, counts), color=color)
    for number, line in enumerate(config.lines, len(config.zones)):
        if line.camera in (None, camera):
            start, end = _pixels(image, (line.start, line.end)).tolist()
            cv2.arrowedLine(
                image, start, end, class_color(number), _thickness(image), cv2.LINE_AA, 0, 0.05
            )
            title = _title(line.name, counts)
            _write_inplace(image, line.start, title, color=class_color(number))


def _title(name: str, counts: dict[str, dict[str, int]]) -> str:
    words = [f"{number} {key}" for key, number in counts.get(name, {}).items() if number]
    return " ".join([name, *words])


def _fill_inplace(
    image: NDArray[np.uint8], polygon: Sequence[Sequence[float]], color: Color
) -> None:
    points = _pixels(image, polygon)
    x, y, width, height = cv2.boundingRect(points)
    part = image[y : y + height, x : x + width]
    tinted = part.copy()
    cv2.fillPoly(tinted, [points - (x, y)], color)
    part[:] = cv2.addWeighted(part, 1 - TINT, tinted, TINT, 0)
    cv2.polylines(image, [points], True, color, _thickness(image), cv2.LINE_AA)  # noqa: FBT003


def _write_inplace(
    image: NDArray[np.uint8], at: Sequence[float], text: str, *, color: Color
) -> None:
    """Write beside a point, where the text fits into the image."""
    scale = 0.5 * max(1.0, image.shape[0] / REFERENCE_HEIGHT_PX)
    thickness = max(1, _thickness(image) // 2)
    (width, height), baseline = cv2.getTextSize(printable(text), FONT, scale, thickness)
    x, y = _pixels(image, [at])[0].tolist()
    left = max(0, min(x, image.shape[1] - width))
    top = max(height + baseline, min(y, image.shape[0] - 1))
    corner = (left + width, top)
    cv2.rectangle(image, (left, top - height - baseline), corner, color, cv2.FILLED)
    origin = (left, top - baseline // 2)
    cv2.putText(image, printable(text), origin, FONT, scale, (0, 0, 0), thickness, cv2.LINE_AA)


def _pixels(image: NDArray[np.uint8], points: Sequence[Sequence[float]]) -> NDArray[np.int32]:
    """Return points in shares of the image in its pixels, `(N, 2)`."""
    height, width = image.shape[:2]
    most = (width - 1, height - 1)
    pixels = np.clip(np.array(points) * (width, height), 0, most).round()
    return np.asarray(pixels, np.int32)


def _thickness(image: NDArray[np.uint8]) -> int:
    height: int = image.shape[0]
    return round(2 * max(1.0, height / REFERENCE_HEIGHT_PX))
