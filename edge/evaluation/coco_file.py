"""Read a COCO `instances` file: what is sound in it, with the rest named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType, to_builtins

from edge.errors import SourceError
from edge.evaluation.boxes import clip, is_near, to_xywh
from edge.evaluation.faults import Faults
from edge.evaluation.images import upright_size_wh
from edge.evaluation.pairing import Claim, ImageIndex
from edge.evaluation.truth import BoxTruth, merge_names
from edge.record import Finite, Record, Unsound, storable
from edge.record import read as read_record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Row = dict[str, Any]
Id = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
# A numeral in quotes is its number, and a number as a name its numeral.
Name = str | int | float


class Image(Record, frozen=True, forbid_unknown_fields=False, omit_defaults=True):
    """What is needed of a row of `images`; what else it holds stays."""

    id: Id
    file_name: Name
    width: Finite | None = None
    height: Finite | None = None


class Annotation(Record, frozen=True, forbid_unknown_fields=False, omit_defaults=True):
    """What is needed of a row of `annotations`."""

    id: Id
    image_id: Id
    category_id: Id
    bbox: Annotated[list[Finite], Meta(min_length=4, max_length=4)]
    area: Finite | UnsetType = UNSET
    iscrowd: Literal[0, 1] | UnsetType = UNSET


class Category(Record, frozen=True, forbid_unknown_fields=False):
    """What is needed of a row of `categories`."""

    id: Id
    name: Name


TABLES: dict[str, type[Record]] = {
    "images": Image,
    "annotations": Annotation,
    "categories": Category,
}
# pycocotools keeps ids of annotations as float64, and 0 for no match.
MAX_EXACT_ID = 2**53
# Keys of the first row of a file, or of itself, and who writes such files.
OTHER_FORMS = {
    ("id", "data"): "Label Studio's own export",
    ("image", "annotation_id"): "Label Studio's own export",
    ("shapes", "imagePath"): "a file of LabelMe",
    ("image_id", "score"): "results of a detector",
}


class OtherForm(SourceError):  # noqa: N818 - no error where the set turns out to be of another form
    """A JSON file is no COCO `instances` file."""


def read(path: Path, images: Sequence[Path]) -> BoxTruth:
    """Read COCO annotations of these images; rows that are sound stay as they are.

    Raises:
        OtherForm: It is no COCO `instances` file.
        SourceError: It cannot be read, or has no sound image.
    """
    fields = _fields(path)
    faults = Faults()
    rows, annotations, categories = (_sound(fields[key], key, faults) for key in TABLES)
    merged = merge_names({row["id"]: row["name"] for row in categories}, faults)
    claims = [Claim(path, row["file_name"], name=row["file_name"], content=row) for row in rows]
    pairs = ImageIndex(images).pair(claims, path, faults)
    files = {claim.content["id"]: image for claim, image in pairs}
    kept = {claim.content["id"]: claim.content for claim, _ in pairs}
    # Those of an image that was left out went with it, and are named with it.
    missing = {row["id"] for row in rows} - files.keys()
    sizes_wh: dict[int, tuple[int, int] | None] = {}
    sound = []
    for row in annotations:
        number = row["image_id"]
        if number in missing or not _is_listed(row, files=files, categories=merged, faults=faults):
            continue
        if number not in sizes_wh:
            sizes_wh[number] = _size_wh(kept[number], files[number])
        clipped = _clipped(row, sizes_wh[number], faults)
        if clipped is not None:
            sound.append({**clipped, "category_id": merged[row["category_id"]]})
    if any(not 0 < row["id"] < MAX_EXACT_ID for row in sound):
        sound = [{**row, "id": number} for number, row in enumerate(sound, start=1)]
    whole = {
        "images": list(kept.values()),
        "annotations": sound,
        "categories": [
            {**row, "name": storable(row["name"])}
            for row in categories
            if merged[row["id"]] == row["id"]
        ],
    }
    return BoxTruth(path, {**fields, **whole}, files, faults)


def _fields(path: Path) -> Row:
    try:
        fields: Row = json.loads(path.read_bytes())
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}; check the path") from error
    except (ValueError, RecursionError) as error:
        raise OtherForm(f"{path}: expected COCO annotations, found no JSON: {error}") from error
    row = fields[0] if isinstance(fields, list) and fields else fields
    if not isinstance(row, dict):
        row = {}
    for keys, form in OTHER_FORMS.items():
        if row.keys() >= set(keys):
            raise OtherForm(
                f"{path}: expected COCO annotations, found {form}; export the set as COCO, YOLO or "
                "VOC and give that"
            )
    for key in TABLES:
        if not isinstance(fields, dict) or not isinstance(fields.get(key), list):
            raise OtherForm(
                f"{path}: expected COCO annotations, found no list of {key!r} in it; give the "
                "instances file of the data set"
            )
    return fields


def _sound(rows: list[Any], what: str, faults: Faults) -> list[Row]:
    """Return the sound rows, the first of each id."""
    kept: dict[int, Row] = {}
    for number, row in enumerate(rows):
        try:
            sound = row | to_builtins(read_record(TABLES[what], row, strict=False))
        except Unsound as error:
            wrong = dict.fromkeys(str(fault.place[0]) for fault in error.faults if fault.place)
            text = f"number {number} ({', '.join(wrong) or 'no mapping'})"
            faults.add(f"{what} without the fields they need, left out", text)
            continue
        sound |= {key: str(sound[key]) for key in ("file_name", "name") if key in sound}
        if kept.setdefault(sound["id"], sound) is not sound:
            faults.add(f"{what} with an id that stands before, left out", f"id {sound['id']}")
    return list(kept.values())


def _is_listed(
    row: Row, *, files: dict[int, Path], categories: dict[int, int], faults: Faults
) -> bool:
    name = f"id {row['id']}"
    if row["image_id"] not in files:
        faults.add("boxes of an image that is not listed, left out", name)
        return False
    if row["category_id"] not in categories:
        kind = "boxes of a category that is not listed, left out"
        faults.add(kind, f"{name} (category {row['category_id']})")
        return False
    return True


def _clipped(row: Row, size_wh: tuple[int, int] | None, faults: Faults) -> Row | None:
    """Return an annotation, clipped if it must be, or `None`."""
    if size_wh is None:
        return row
    x_min, y_min, width, height = row["bbox"]
    corners = (x_min, y_min, x_min + width, y_min + height)
    box = clip(corners, size_wh=size_wh, name=f"id {row['id']}", faults=faults)
    if box is None:
        return None
    # A box that is inside, or out by a rounding, keeps the very numbers of its file.
    bbox = row["bbox"] if is_near(box, corners) else to_xywh(box)
    return {"area": bbox[2] * bbox[3], "iscrowd": 0, **row, "bbox": bbox}


def _size_wh(row: Row, path: Path) -> tuple[int, int] | None:
    """Return an image's size as the row says, or else as its file does; `None` for a damaged one.

    That is named when it is to be judged.
    """
    if row.get("width") and row.get("height"):
        return row["width"], row["height"]
    try:
        return upright_size_wh(path)
    except SourceError:
        return None
