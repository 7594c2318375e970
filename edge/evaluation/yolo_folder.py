"""Read a folder of YOLO text files, one an image: class id and box, as ratios of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.errors import SourceError
from edge.evaluation import names as names_file
from edge.evaluation.boxes import BoxGatherer, upright_size_wh
from edge.evaluation.faults import ABSENT, Faults

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.evaluation.truth import BoxTruth

# Class id, centre, width and height; polygons have an odd number of columns from seven up.
BOX_COLUMNS = 5
POLYGON_COLUMNS = 7

Ratios = tuple[float, float, float, float]


def read(folder: Path, images: Sequence[Path], *, names: tuple[str, ...] | None) -> BoxTruth:
    """Read the annotations of these images.

    A polygon counts as the box around it. An empty file is an image without objects; an image
    without a file is left out.

    Args:
        folder: Of text files named as the images are.
        images: The images.
        names: Text of each class id; `None` looks for a file of them.

    Raises:
        SourceError: No file fits an image, or nothing says the names.
    """
    labels = names or _names(folder)
    faults = Faults()
    gatherer = BoxGatherer(faults)
    by_stem = {path.stem: path for path in reversed(images)}
    found = False
    for path in sorted(folder.rglob("*.txt")):
        image = by_stem.get(path.stem)
        if image is None:
            if path.name not in names_file.FILES:
                faults.add(ABSENT, path.name)
            continue
        try:
            size_wh = upright_size_wh(image)
            lines = _lines(path)
        except SourceError as error:
            faults.add("files that cannot be read, left out", str(error))
            continue
        found = True
        number = gatherer.add_image(image, size_wh)
        for row, line in enumerate(lines, start=1):
            _add(gatherer, line, labels, place=(number, size_wh, f"{path.name} line {row}"),
                 faults=faults)  # fmt: skip
    if not found:
        raise SourceError(
            f"{folder}: expected annotations of the images, found none of their names; "
            "choose the folder that belongs to the images"
        )
    return gatherer.truth(folder, dict(enumerate(labels)))


def parse(line: str) -> tuple[int, Ratios]:
    """Return the class id of a line, and x_min, y_min, x_max, y_max as ratios of the image.

    Raises:
        ValueError: It is neither a box nor a polygon.
    """
    columns = line.split()
    class_id, values = int(columns[0]), [float(column) for column in columns[1:]]
    if len(columns) == BOX_COLUMNS:
        x, y, width, height = values
        return class_id, (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    if len(columns) >= POLYGON_COLUMNS and len(values) % 2 == 0:
        xs, ys = values[::2], values[1::2]
        return class_id, (min(xs), min(ys), max(xs), max(ys))
    raise ValueError(f"{len(columns)} columns")


def _names(folder: Path) -> tuple[str, ...]:
    path = names_file.find(folder)
    if path is None:
        raise SourceError(
            f"{folder}: expected a file with the names of the classes, found none; write a "
            "classes.txt with one name a line, or give one with --names"
        )
    return names_file.read(path)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}; check the path") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: expected text: {error}; write it again") from error
    return [line for line in text.splitlines() if line.strip()]


def _add(
    gatherer: BoxGatherer,
    line: str,
    labels: tuple[str, ...],
    *,
    place: tuple[int, tuple[int, int], str],
    faults: Faults,
) -> None:
    number, size_wh, where = place
    try:
        class_id, ratios = parse(line)
    except ValueError:
        faults.add("lines that are neither box nor polygon, left out", where)
        return
    if not 0 <= class_id < len(labels):
        faults.add("boxes of a class id without a name, left out", f"{where} (class {class_id})")
        return
    width, height = size_wh
    x_min, y_min, x_max, y_max = ratios
    corners = (x_min * width, y_min * height, x_max * width, y_max * height)
    gatherer.add_box(number, class_id, corners, size_wh=size_wh, name=where)
