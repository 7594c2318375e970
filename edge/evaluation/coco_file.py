"""Read a COCO `instances` file: what is sound in it, with the rest named."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from edge.errors import SourceError
from edge.evaluation.boxes import clip, upright_size_wh
from edge.evaluation.faults import ABSENT, Faults
from edge.evaluation.truth import BoxTruth

if TYPE_CHECKING:
    from collections.abc import Sequence

KEYS = ("images", "annotations", "categories")
BOX_SIDES = 4


def read(path: Path, images: Sequence[Path]) -> BoxTruth:
    """Read COCO annotations of these images; rows that are sound stay as they are.

    Raises:
        SourceError: It cannot be read, is no COCO `instances` file, or has no sound image.
    """
    fields = _fields(path)
    faults = Faults()
    categories = _unique(fields["categories"], _is_category, what="categories", faults=faults)
    rows = _unique(fields["images"], _is_image, what="images", faults=faults)
    files, kept = _files(rows, images, faults)
    if not kept:
        raise SourceError(
            f"{path}: expected annotations of the images, found none of their names; "
            "choose the folder that belongs to the annotations"
        )
    by_id = {row["id"]: row for row in kept}
    checker = _Boxes(
        images=by_id, files=files, categories={row["id"] for row in categories}, faults=faults
    )
    missing = {row["id"] for row in rows} - by_id.keys()
    annotations = [
        sound
        for row in _unique(fields["annotations"], _is_box, what="annotations", faults=faults)
        # Those of an image that was left out went with it, and are named with it.
        if row["image_id"] not in missing and (sound := checker.sound(row))
    ]
    if any(row["id"] == 0 for row in annotations):
        # pycocotools notes a match as the annotation's id, and no match as 0.
        annotations = [{**row, "id": number} for number, row in enumerate(annotations, start=1)]
    sound_fields = {**fields, "images": kept, "annotations": annotations, "categories": categories}
    return BoxTruth(path, sound_fields, files, faults)


def _fields(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_bytes())
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}; check the path") from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path}: expected COCO annotations, found no JSON: {error}") from error
    missing = [
        key for key in KEYS if not isinstance(fields, dict) or not isinstance(fields.get(key), list)
    ]
    if missing:
        raise SourceError(
            f"{path}: expected COCO annotations, found no list of {missing[0]!r} in it; give the "
            "instances file of the data set"
        )
    found: dict[str, Any] = fields
    return found


def _unique(rows: list[Any], is_sound: Any, *, what: str, faults: Faults) -> list[dict[str, Any]]:  # noqa: ANN401
    """Return the sound rows, the first of each id."""
    kept: dict[int, dict[str, Any]] = {}
    for number, row in enumerate(rows):
        if not is_sound(row):
            faults.add(f"{what} without the fields they need, left out", f"number {number}")
        elif row["id"] in kept:
            faults.add(f"{what} with an id that stands before, left out", f"id {row['id']}")
        else:
            kept[row["id"]] = row
    return list(kept.values())


def _files(
    rows: list[dict[str, Any]], images: Sequence[Path], faults: Faults
) -> tuple[dict[int, Path], list[dict[str, Any]]]:
    by_name = {path.name: path for path in reversed(images)}
    files: dict[int, Path] = {}
    kept = []
    taken = set()
    for row in rows:
        name = PurePosixPath(row["file_name"].replace("\\", "/")).name
        if name not in by_name:
            faults.add(ABSENT, row["file_name"])
        elif name in taken:
            faults.add("images annotated twice, the second left out", row["file_name"])
        else:
            taken.add(name)
            files[row["id"]] = by_name[name]
            kept.append(row)
    return files, kept


class _Boxes:
    """Holds boxes to the images and categories that there are."""

    def __init__(
        self,
        *,
        images: dict[int, dict[str, Any]],
        files: dict[int, Path],
        categories: set[int],
        faults: Faults,
    ) -> None:
        self._images = images
        self._files = files
        self._categories = categories
        self._faults = faults
        self._sizes_wh: dict[int, tuple[int, int] | None] = {}

    def sound(self, row: dict[str, Any]) -> dict[str, Any] | None:
        """Return an annotation, clipped if it must be, or `None`."""
        name = f"id {row['id']}"
        if row["image_id"] not in self._images:
            self._faults.add("boxes of an image that is not listed, left out", name)
            return None
        if row["category_id"] not in self._categories:
            kind = "boxes of a category that is not listed, left out"
            self._faults.add(kind, f"{name} (category {row['category_id']})")
            return None
        x_min, y_min, width, height = row["bbox"]
        corners = (x_min, y_min, x_min + width, y_min + height)
        size_wh = self._size_wh(row["image_id"])
        if size_wh is None:
            return row
        box = clip(corners, size_wh=size_wh, name=name, faults=self._faults)
        if box is None:
            return None
        # A box that is inside, or out by a rounding, keeps the very numbers of its file.
        bbox = row["bbox"] if _is_near(box, corners) else _xywh(box)
        area = row.get("area", bbox[2] * bbox[3])
        return {**row, "bbox": bbox, "area": area, "iscrowd": row.get("iscrowd", 0)}

    def _size_wh(self, image_id: int) -> tuple[int, int] | None:
        if image_id not in self._sizes_wh:
            self._sizes_wh[image_id] = _size_wh(self._images[image_id], self._files[image_id])
        return self._sizes_wh[image_id]


def _size_wh(row: dict[str, Any], path: Path) -> tuple[int, int] | None:
    """Return an image's size as the row says, or else as its file does; `None` for a damaged one.

    That is named when it is to be judged.
    """
    if _is_number(row.get("width")) and _is_number(row.get("height")):
        return row["width"], row["height"]
    try:
        return upright_size_wh(path)
    except SourceError:
        return None


def _is_near(box: tuple[float, ...], corners: tuple[float, ...]) -> bool:
    return all(abs(a - b) <= 1 for a, b in zip(box, corners, strict=True))


def _xywh(box: tuple[float, float, float, float]) -> list[float]:
    x_min, y_min, x_max, y_max = box
    return [x_min, y_min, x_max - x_min, y_max - y_min]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_category(row: object) -> bool:
    return isinstance(row, dict) and _is_id(row.get("id")) and isinstance(row.get("name"), str)


def _is_image(row: object) -> bool:
    return isinstance(row, dict) and _is_id(row.get("id")) and isinstance(row.get("file_name"), str)


def _is_box(row: object) -> bool:
    if not isinstance(row, dict):
        return False
    box = row.get("bbox")
    return (
        all(_is_id(row.get(key)) for key in ("id", "image_id", "category_id"))
        and isinstance(box, list)
        and len(box) == BOX_SIDES
        and all(map(_is_number, box))
        and _is_number(row.get("area", 0))
        and row.get("iscrowd", 0) in {0, 1}
    )
