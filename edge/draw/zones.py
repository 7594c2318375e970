"""Zones, lines and masks drawn on an image, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.draw.colors import class_color
from edge.draw.lettering import REFERENCE_HEIGHT_PX, write_inplace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.config.sections import Config
    from edge.config.zone import Line, Zone

    Color = tuple[int, int, int]
    Points = Sequence[Sequence[float]]

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
    places: list[tuple[Zone | Line, Points]] = [(zone, zone.polygon) for zone in config.zones]
    places += [(line, (line.start, line.end)) for line in config.lines]
    for number, (place, points) in enumerate(places):
        if place.camera not in (None, camera):
            continue
        color = class_color(number)
        first, last = _pixels(image, (points[0], points[-1])).tolist()
        if number < len(config.zones):
            _fill_inplace(image, points, color)
        else:
            cv2.arrowedLine(image, first, last, color, _thickness(image), cv2.LINE_AA, 0, 0.05)
        words = [f"{count} {key}" for key, count in counts.get(place.name, {}).items() if count]
        write_inplace(image, " ".join([place.name, *words]), first, color=color)


def _fill_inplace(image: NDArray[np.uint8], polygon: Points, color: Color) -> None:
    points = _pixels(image, polygon)
    x, y, width, height = cv2.boundingRect(points)
    part = image[y : y + height, x : x + width]
    tinted = part.copy()
    cv2.fillPoly(tinted, [points - (x, y)], color)
    part[:] = cv2.addWeighted(part, 1 - TINT, tinted, TINT, 0)
    cv2.polylines(image, [points], True, color, _thickness(image), cv2.LINE_AA)  # noqa: FBT003


def _pixels(image: NDArray[np.uint8], points: Points) -> NDArray[np.int32]:
    """Return points in shares of the image in its pixels, `(N, 2)`."""
    height, width = image.shape[:2]
    most = (width - 1, height - 1)
    pixels = np.clip(np.array(points) * (width, height), 0, most).round()
    return np.asarray(pixels, np.int32)


def _thickness(image: NDArray[np.uint8]) -> int:
    height: int = image.shape[0]
    return round(2 * max(1.0, height / REFERENCE_HEIGHT_PX))
