"""Gather boxes into COCO's form, and leave out, or clip, what cannot be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from edge.capture.image_header import read_size
from edge.capture.images import load_image
from edge.evaluation.truth import BoxTruth

if TYPE_CHECKING:
    from pathlib import Path

    from edge.evaluation.faults import Faults

# Annotation tools round outwards, or count the last pixel in: that much is no fault.
SLACK_PX = 1.0
EXIF_MARK = b"Exif\0\0"
EXIF_BYTES = 64 * 1024

OUTSIDE = "boxes that stick out of their image, clipped"
EMPTY = "boxes without area inside their image, left out"


class BoxGatherer:
    """Takes images and boxes one by one.

    Args:
        faults: Told of what is clipped or left out.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._files: dict[int, Path] = {}

    def add_image(self, path: Path, size_wh: tuple[int, int]) -> int:
        """Take an image; return its id."""
        number = len(self._images) + 1
        width, height = size_wh
        self._images.append(
            {"id": number, "file_name": path.name, "width": width, "height": height}
        )
        self._files[number] = path
        return number

    # A box, whose it is, what it shows, and what it is called in a message.
    def add_box(  # noqa: PLR0913
        self,
        image_id: int,
        category_id: int,
        corners: tuple[float, float, float, float],
        *,
        size_wh: tuple[int, int],
        name: str,
        is_crowd: bool = False,
    ) -> None:
        """Take a box.

        Args:
            image_id: Of `add_image`.
            category_id: One of the categories given to `truth`.
            corners: x_min, y_min, x_max, y_max, pixels, half-open.
            size_wh: Of the image, pixels.
            name: Of the box, for messages.
            is_crowd: Finding it or not does not count.
        """
        box = clip(corners, size_wh=size_wh, name=name, faults=self._faults)
        if box is None:
            return
        x_min, y_min, x_max, y_max = box
        width, height = x_max - x_min, y_max - y_min
        self._annotations.append({
            "id": len(self._annotations) + 1, "image_id": image_id, "category_id": category_id,
            "bbox": [x_min, y_min, width, height], "area": width * height,
            "iscrowd": int(is_crowd),
        })  # fmt: skip

    def truth(self, path: Path, categories: dict[int, str]) -> BoxTruth:
        """Return what was taken."""
        fields = {
            "images": self._images,
            "annotations": self._annotations,
            "categories": [{"id": number, "name": name} for number, name in categories.items()],
        }
        return BoxTruth(path, fields, self._files, self._faults)


def clip(
    corners: tuple[float, float, float, float],
    *,
    size_wh: tuple[int, int],
    name: str,
    faults: Faults,
) -> tuple[float, float, float, float] | None:
    """Return the part of a box that lies in its image, or `None`; both are told to `faults`.

    A box that sticks out by less than `SLACK_PX` is clipped without a word.
    """
    if not all(map(math.isfinite, corners)):
        faults.add(EMPTY, name)
        return None
    limits = (*size_wh, *size_wh)
    x_min, y_min, x_max, y_max = (
        min(max(side, 0.0), float(limit)) for side, limit in zip(corners, limits, strict=True)
    )
    if x_max <= x_min or y_max <= y_min:
        faults.add(EMPTY, name)
        return None
    clipped = (x_min, y_min, x_max, y_max)
    if max(abs(a - b) for a, b in zip(clipped, corners, strict=True)) > SLACK_PX:
        faults.add(OUTSIDE, name)
    return clipped


def upright_size_wh(path: Path) -> tuple[int, int]:
    """Return width and height of an image as the board sees it, turned by its EXIF orientation.

    Raises:
        SourceError: It cannot be read, or is no JPEG, PNG or BMP image.
    """
    size_wh = read_size(path)
    if size_wh is not None and not _has_exif(path):
        return size_wh
    height, width = load_image(path).shape[:2]
    return width, height


def _has_exif(path: Path) -> bool:
    with path.open("rb") as file:
        return EXIF_MARK in file.read(EXIF_BYTES)
