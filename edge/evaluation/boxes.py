"""Gather boxes into COCO's form, and leave out, or clip, what cannot be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from edge.errors import SourceError
from edge.evaluation.images import upright_size_wh
from edge.evaluation.pairing import plain
from edge.evaluation.truth import BoxTruth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from edge.evaluation.faults import Faults
    from edge.evaluation.pairing import Claim

# Annotation tools round outwards, or count the last pixel in: that much is no fault.
SLACK_PX = 1.0

OUTSIDE = "boxes that stick out of their image, clipped"
NAMELESS = "objects without name or box, left out"
EMPTY = "boxes without area inside their image, left out"

Corners = tuple[float, float, float, float]


class LabelledBox(NamedTuple):
    """One object, of which label and corners may be missing.

    Attributes:
        corners: x_min, y_min, x_max, y_max, pixels, half-open.
        text: What it is called in messages.
        is_crowd: Finding it or not does not count.
    """

    label: str
    corners: Corners | None
    text: str
    is_crowd: bool = False


def gather(
    source: Path,
    pairs: Iterable[tuple[Claim, Path]],
    boxes_of: Callable[[Claim, tuple[int, int]], Iterable[LabelledBox]],
    *,
    faults: Faults,
    labels: Iterable[str] = (),
) -> BoxTruth:
    """Return the truth of images and the files that are about them.

    Args:
        source: The set.
        pairs: Each file with its image.
        boxes_of: Called with a file and the size of its image; raises a `SourceError` for a file
            that cannot be read.
        faults: Told of what is clipped or left out.
        labels: Known before any box is met.
    """
    ids: dict[str, int] = {}
    for label in labels:
        ids.setdefault(plain(label), len(ids) + 1)
    images: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    files: dict[int, Path] = {}
    for claim, image in pairs:
        try:
            width, height = size_wh = upright_size_wh(image)
            boxes = boxes_of(claim, size_wh)
        except SourceError as error:
            faults.add("files that cannot be read, left out", str(error))
            continue
        number = len(images) + 1
        files[number] = image
        images.append({"id": number, "file_name": image.name, "width": width, "height": height})
        for label, corners, text, is_crowd in boxes:
            if not label or corners is None:
                faults.add(NAMELESS, text)
            elif inside := clip(corners, size_wh=size_wh, name=text, faults=faults):
                bbox = to_xywh(inside)
                rows.append({
                    "id": len(rows) + 1, "image_id": number,
                    "category_id": ids.setdefault(plain(label), len(ids) + 1),
                    "bbox": bbox, "area": bbox[2] * bbox[3], "iscrowd": int(is_crowd),
                })  # fmt: skip
    categories = [{"id": number, "name": label} for label, number in ids.items()]
    fields = {"images": images, "annotations": rows, "categories": categories}
    return BoxTruth(source, fields, files, faults)


def clip(
    corners: Corners, *, size_wh: tuple[int, int], name: str, faults: Faults
) -> Corners | None:
    """Return the part of a box that lies in its image, or `None`; both are told to `faults`.

    A box that sticks out by less than `SLACK_PX` is clipped without a word.
    """
    limits = map(float, (*size_wh, *size_wh))
    inside = [min(max(side, 0.0), limit) for side, limit in zip(corners, limits, strict=True)]
    x_min, y_min, x_max, y_max = inside
    if not all(map(math.isfinite, corners)) or x_max <= x_min or y_max <= y_min:
        faults.add(EMPTY, name)
        return None
    if not is_near((x_min, y_min, x_max, y_max), corners):
        faults.add(OUTSIDE, name)
    return x_min, y_min, x_max, y_max


def is_near(one: Corners, other: Corners) -> bool:
    """Return whether no side of two boxes differs by more than `SLACK_PX`."""
    return all(abs(a - b) <= SLACK_PX for a, b in zip(one, other, strict=True))


def to_xywh(corners: Corners) -> list[float]:
    """Return x_min, y_min, width, height."""
    x_min, y_min, x_max, y_max = corners
    return [x_min, y_min, x_max - x_min, y_max - y_min]
