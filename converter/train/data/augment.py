"""Changes of a labelled image at random: its colours, and which part of it is seen, how large.

Every change of place is one region of the image that becomes the input: a crop lies inside the
image, a zoom out around it, a flip reads it backwards; so boxes and masks move by the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from converter.train.matching import Labels
from edge.results.detections import pairwise_iou

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.description import InputTransform

    Image = NDArray[np.uint8]
    Array = NDArray[np.float32]

# Source: Liu et al. 2016, section 2.2 and 3.6: a crop overlaps an object by at least one of these
# (`None`: the whole image), its sides are 0.3 to 1 of the image's, its aspect 1/2 to 2; a zoom out
# happens half the time.
OVERLAPS = (None, 0.1, 0.3, 0.5, 0.7, 0.9)
LEAST_SIDE, ASPECTS, TRIES = 0.3, (0.5, 2.0), 30
# Source: as above, section 2.2; its colours after Howard 2013: brightness in pixel values, contrast
# and saturation as factors, hue in degrees.
BRIGHTNESS, FACTORS, HUE = 32.0, (0.5, 1.5), 18.0
VOID = 255


@dataclass(frozen=True, slots=True)
class Changes:
    """How much is changed.

    Attributes:
        zoom_out: Most sides of an image that the input shows; the paper has 4.
        least_side: Of a crop, as a share of the image's.
        flips: `none`, `across` (left and right), or `both`, as of a microscope.
        colours: Share of the paper's.
    """

    zoom_out: float = 2.0
    least_side: float = LEAST_SIDE
    flips: str = "across"
    colours: float = 0.5


PLAIN = Changes(zoom_out=1.0, least_side=1.0, flips="none", colours=0.0)


def changed(
    image: Image, labels: Labels, *, transform: InputTransform, changes: Changes,
    random: np.random.Generator,
) -> tuple[Image, Labels]:  # fmt: skip
    """Return what the net sees, `(H, W, 3)` uint8 of its input's size, and what is true of that.

    Args:
        image: `(H, W, 3)` uint8, R or B first.
        labels: In its pixels.
        transform: Size, and whether the aspect is kept.
        changes: How much; `PLAIN` only fits the image in.
        random: What decides.
    """
    size_wh = transform.size_wh
    region = _region(image.shape[:2], labels.boxes, changes=changes, random=random)
    if transform.resize == "letterbox":
        region = _widened(region, size_wh[0] / size_wh[1])
    flips = [
        changes.flips in kinds and bool(random.integers(2))
        for kinds in (("across", "both"), ("both",))
    ]
    seen = _recoloured(image, changes.colours, random)
    fill = cv2.mean(seen)[:3] if transform.resize == "stretch" else (transform.padding,) * 3
    matrix = _matrix(region, size_wh, flips)
    made = cv2.warpAffine(seen, matrix, size_wh, flags=cv2.INTER_LINEAR, borderValue=fill)
    return np.asarray(made, np.uint8), _moved(labels, matrix, size_wh)


def _region(
    shape: tuple[int, ...], boxes: Array, *, changes: Changes, random: np.random.Generator
) -> Array:
    """Return xyxy of what becomes the input, pixels; outside of the image is filled."""
    high, wide = shape[:2]
    if changes.zoom_out > 1 and random.integers(2):
        ratio = random.uniform(1, changes.zoom_out)
        x, y = (random.uniform(0, side * (ratio - 1)) for side in (wide, high))
        return np.array([-x, -y, wide * ratio - x, high * ratio - y], np.float32)
    whole = np.array([0, 0, wide, high], np.float32)
    least = OVERLAPS[random.integers(len(OVERLAPS))] if changes.least_side < 1 else None
    if least is None:
        return whole
    for _ in range(TRIES):
        sides = random.uniform(changes.least_side, 1, 2)
        if not ASPECTS[0] <= sides[0] / sides[1] <= ASPECTS[1]:
            continue
        x, y = random.uniform(0, 1 - sides) * (wide, high)
        found = np.array([x, y, x + sides[0] * wide, y + sides[1] * high], np.float32)
        if not len(boxes) or pairwise_iou(found[None], boxes).max() >= least:
            return found
    return whole


def _widened(region: Array, aspect: float) -> Array:
    """Return a region with more on two of its sides, so that its aspect is the input's."""
    sides = region[2:] - region[:2]
    more = np.maximum(sides, [sides[1] * aspect, sides[0] / aspect]) - sides
    return np.concatenate([region[:2] - more / 2, region[2:] + more / 2]).astype(np.float32)


def _matrix(region: Array, size_wh: tuple[int, int], flips: list[bool]) -> NDArray[np.float64]:
    """Return `(2, 3)`: from pixels' centres of the image to those of the input."""
    made = np.zeros((2, 3))
    for axis, (size, flip) in enumerate(zip(size_wh, flips, strict=True)):
        scale = size / float(region[axis + 2] - region[axis])
        made[axis, axis] = -scale if flip else scale
        # A pixel's centre is half a pixel behind its number.
        start = float(region[axis + 2] if flip else region[axis])
        made[axis, 2] = made[axis, axis] * (0.5 - start) - 0.5
    return made


def _moved(labels: Labels, matrix: NDArray[np.float64], size_wh: tuple[int, int]) -> Labels:
    """Return the labels as they are in the input; a box stays whose centre does."""
    scale = np.diag(matrix[:, :2])
    shift = matrix[:, 2] + 0.5 - 0.5 * scale
    ends = [labels.boxes[:, at : at + 2] * scale + shift for at in (0, 2)]
    sides = np.array(size_wh, np.float32)
    low, high = np.minimum(*ends), np.maximum(*ends)
    centres = (low + high) / 2
    boxes = np.concatenate([low.clip(0, sides), high.clip(0, sides)], axis=1).astype(np.float32)
    kept = ((centres >= 0) & (centres < sides)).all(axis=1)
    kept &= ((boxes[:, 2:] - boxes[:, :2]) >= 1).all(axis=1)
    mask = labels.mask
    if mask is not None:
        seen = cv2.warpAffine(mask, matrix, size_wh, flags=cv2.INTER_NEAREST, borderValue=VOID)
        mask = np.asarray(seen, np.uint8)
    return Labels(boxes[kept], labels.class_ids[kept], labels.is_crowd[kept], mask, labels.class_id)


def _recoloured(image: Image, share: float, random: np.random.Generator) -> Image:
    """Return an image in other light."""
    if not share:
        return image
    low, high = (1 + (end - 1) * share for end in FACTORS)
    gain, shift = random.uniform(low, high), random.uniform(-1, 1) * BRIGHTNESS * share
    table = np.clip((np.arange(256) - 128) * gain + 128 + shift, 0, 255).astype(np.uint8)
    hsv = cv2.cvtColor(cv2.LUT(image, table), cv2.COLOR_RGB2HSV)
    turn = int(random.uniform(-1, 1) * HUE * share / 2)  # OpenCV counts 180 of them
    hues = ((np.arange(256) + turn) % 180).astype(np.uint8)
    vivid = np.clip(np.arange(256) * random.uniform(low, high), 0, 255).astype(np.uint8)
    tables = np.stack([hues, vivid, np.arange(256, dtype=np.uint8)], axis=-1)[None]
    return np.asarray(cv2.cvtColor(cv2.LUT(hsv, tables), cv2.COLOR_HSV2RGB), np.uint8)
