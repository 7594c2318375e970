"""Read a folder of YOLO text files, one an image: class id and box, as ratios of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.errors import SourceError
from edge.evaluation.boxes import LabelledBox, gather
from edge.evaluation.faults import Faults
from edge.evaluation.label_files import NAME_FILES, names_beside, read_text
from edge.evaluation.pairing import Claim, ImageIndex
from edge.evaluation.truth import merge_names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.evaluation.truth import BoxTruth

# Class id, centre, width and height; polygons have an odd number of columns from seven up.
BOX_COLUMNS = 5
POLYGON_COLUMNS = 7

Ratios = tuple[float, float, float, float]


def read(folder: Path, images: Sequence[Path], *, names: tuple[str, ...] | None) -> BoxTruth:
    """Read the annotations of these images: of text files named as the images are.

    A polygon counts as the box around it. An empty file is an image without objects; an image
    without a file is left out.

    Args:
        folder: Of the text files.
        images: The images.
        names: Text of each class id; `None` looks for a file of them.
    """
    faults = Faults()
    labels = names or names_beside(folder, faults)
    if not labels:
        raise SourceError(
            f"{folder}: expected a file with the names of the classes, found none; write a "
            f"classes.txt with one name a line, or give one with --names{faults.reason()}"
        )
    merge_names(dict(enumerate(labels)), faults)

    def boxes_of(claim: Claim, size_wh: tuple[int, int]) -> list[LabelledBox]:
        lines = filter(str.strip, read_text(claim.place).splitlines())
        named = ((line, f"{claim.text} line {n}") for n, line in enumerate(lines, start=1))
        boxes = (_box(line, text, labels, size_wh=size_wh, faults=faults) for line, text in named)
        return [box for box in boxes if box]

    claims = [
        Claim(path, path.name, stem=path.stem)
        for path in sorted(folder.rglob("*.txt"))
        if path.name not in NAME_FILES
    ]
    pairs = ImageIndex(images).pair(claims, folder, faults)
    return gather(folder, pairs, boxes_of, labels=filter(None, labels), faults=faults)


def parse(line: str) -> tuple[int, Ratios]:
    """Return the class id of a line, and x_min, y_min, x_max, y_max as ratios of the image.

    Raises:
        ValueError: It is neither a box nor a polygon.
    """
    columns = line.split()
    class_id, *values = (float(column) for column in columns)
    if not class_id.is_integer():
        raise ValueError(f"class {class_id}")
    if len(columns) == BOX_COLUMNS:
        x, y, width, height = values
        return int(class_id), (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    if len(columns) >= POLYGON_COLUMNS and len(values) % 2 == 0:
        xs, ys = values[::2], values[1::2]
        return int(class_id), (min(xs), min(ys), max(xs), max(ys))
    raise ValueError(f"{len(columns)} columns")


def _box(
    line: str, text: str, labels: tuple[str, ...], *, size_wh: tuple[int, int], faults: Faults
) -> LabelledBox | None:
    width, height = size_wh
    try:
        class_id, (x_min, y_min, x_max, y_max) = parse(line)
    except ValueError:
        faults.add("lines that are neither box nor polygon, left out", text)
        return None
    if not 0 <= class_id < len(labels) or not labels[class_id]:
        kind = "boxes of a class id without a name, left out"
        faults.add(kind, f"{text} (class {class_id})")
        return None
    corners = (x_min * width, y_min * height, x_max * width, y_max * height)
    return LabelledBox(labels[class_id], corners, text)
