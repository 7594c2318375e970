"""A class map laid over its image, for people: a tint and an outline a class, and a legend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.decode.segmentation import SegmentationHead
from edge.draw.colors import class_color
from edge.draw.lettering import REFERENCE_HEIGHT_PX, write_line_inplace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.model.description import Description
    from edge.results.class_map import ClassMap

TINT = 0.45
MAX_CLASSES = 256
INSIDE = 128  # of 255: half of a pixel


def draw_inplace(image: NDArray[np.uint8], seen: ClassMap, description: Description) -> None:
    """Draw what a segmenter saw on `(H, W, 3)` uint8, B G R."""
    background = description.head_as(SegmentationHead).background
    overlay_inplace(image, seen, description.labels, background=background)


def overlay_inplace(
    image: NDArray[np.uint8],
    seen: ClassMap,
    labels: Sequence[str],
    *,
    background: int | None = 0,
) -> None:
    """Tint what each class covers, and write its label and its share of the image.

    Args:
        image: `(H, W, 3)` uint8, B G R; drawn on.
        seen: Of this image.
        labels: Text of each class id.
        background: Class id that is left as it is; `None` leaves none.
    """
    ratios = seen.area_ratios(MAX_CLASSES)
    shown = [each for each in np.argsort(-ratios, kind="stable").tolist() if ratios[each] > 0]
    if background in shown:
        shown.remove(background)
    unit = max(1.0, image.shape[0] / REFERENCE_HEIGHT_PX)
    covers = [cover(seen.class_ids == class_id, image.shape[:2]) for class_id in shown]
    for class_id, covered in zip(shown, covers, strict=True):
        tint_inplace(image, covered, class_color(class_id))
    for class_id, covered in zip(shown, covers, strict=True):
        outline_inplace(image, covered, class_color(class_id), unit=unit)
    for line, class_id in enumerate(shown):
        text = f"{labels[class_id]} {ratios[class_id]:.1%}"
        write_line_inplace(image, text, color=class_color(class_id), line=line)


def cover(cells: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return how much of each pixel some cells cover, `(H, W)` uint8 to 255; no steps of cells."""
    height, width = shape
    values = cells.view(np.uint8) * np.uint8(255)
    return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def tint_inplace(
    image: NDArray[np.uint8], covered: NDArray[np.uint8], color: tuple[int, int, int]
) -> None:
    """Tint `(H, W, 3)` by what `cover` returned, `(H, W)`."""
    weight = covered[..., None] * np.float32(TINT / 255)  # (H, W, 1)
    image[:] = (image + (np.array(color, np.float32) - image) * weight).round()


def outline_inplace(
    image: NDArray[np.uint8],
    covered: NDArray[np.uint8],
    color: tuple[int, int, int],
    *,
    unit: float,
) -> None:
    """Draw the border of what is covered by half or more; `unit` is a line's width."""
    inside = (covered >= INSIDE).astype(np.uint8)
    outlines, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(image, outlines, -1, color, round(unit), cv2.LINE_AA)
