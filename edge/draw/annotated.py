"""An observation as people look at it: its picture with zones and what was seen, as a JPEG."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import cv2
import numpy as np

from edge.draw.jpeg import encode_jpeg, reduced
from edge.draw.lettering import class_color, unit_px, write_inplace
from edge.messages.detections import is_finite
from edge.tasks import task_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.config.sections import Config
    from edge.config.zone import Line, Zone
    from edge.model.description import Description
    from edge.results.detections import Detections
    from edge.results.observation import Observation

    Color = tuple[int, int, int]
    Points = Sequence[Sequence[float]]

# Of 100; 960 x 540 of the built-in scenes take 50 to 64 kB, and 1.6 ms of CPU (x86).
QUALITY = 80
MASKED = (96, 96, 96)  # B, G, R
TINT = 0.25


def jpeg(
    observation: Observation,
    description: Description,
    config: Config | None = None,
    *,
    max_side_px: int,
) -> bytes:
    """Return the picture of an observation, drawn on a copy: others may hold it too.

    Args:
        observation: With a picture; its result is left as it is.
        description: Of the model that made it.
        config: Its zones, lines and masks are drawn as well; `None` draws none.
        max_side_px: A larger picture, which somebody else asked for, is reduced to this.
    """
    if observation.picture is None:
        raise ValueError("expected an observation with a picture, got one without")
    image = reduced(observation.picture, max_side_px)
    if config:
        draw_zones_inplace(image, config, observation.counts, camera=observation.camera)
    task, result = task_for(description), observation.result
    if task.has_boxes:
        found = cast("Detections", result)
        # What a damaged output gives can't be drawn.
        result = found[is_finite(found)].scaled(image.shape[1] / observation.size_wh[0])
    task.draw_inplace(image, result, description)
    return encode_jpeg(image, quality=QUALITY)


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
    return round(2 * unit_px(image))
