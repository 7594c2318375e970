"""An observation as people look at it: its picture with what was seen drawn in, as a JPEG."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from edge.draw.jpeg import encode_jpeg, reduced
from edge.draw.zones import draw_zones_inplace
from edge.messages.detections import is_finite
from edge.tasks import task_for

if TYPE_CHECKING:
    from edge.config.sections import Config
    from edge.model.description import Description
    from edge.results.detections import Detections
    from edge.results.observation import Observation

# Of 100; 960 x 540 of the built-in scenes take 50 to 64 kB, and 1.6 ms of CPU (x86).
QUALITY = 80


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
