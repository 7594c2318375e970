"""A description that a person wrote: a TOML beside a `.tflite` of any origin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from edge.config import toml
from edge.errors import ConfigError
from edge.heads import AnyHead
from edge.model.description import Description, InputTransform
from edge.model.readers.anchors import anchors_from_bytes, anchors_from_rows
from edge.model.readers.manifest import digest_of
from edge.record import Ratio, Record, Text, Unsound
from edge.record import read as read_record

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

MAX_SIDE_FILE_BYTES = 16 * 2**20  # of labels or anchors; 25,200 anchors take 0.4 MiB


class Model(Record, frozen=True):
    """What is no tensor's: name, labels, thresholds.

    Attributes:
        name: As messages tell it.
        labels: Text of each class id, or the name of a file with one a line.
        score_threshold: Default of the runtime.
        iou_threshold: Likewise, for suppression.
    """

    name: Text
    labels: tuple[Text, ...]
    score_threshold: Ratio = 0.5
    iou_threshold: Ratio = 0.6


class Written(Record, frozen=True):
    """The tables of the file."""

    model: Model
    input: InputTransform
    outputs: Annotated[dict[Text, Text], Meta(min_length=1)]
    head: AnyHead


def read(path: Path, flatbuffer: bytes) -> Description:
    """Read a description; files that it names are relative to it.

    Args:
        path: The TOML.
        flatbuffer: The model that it is about, for the digest.

    Raises:
        ConfigError: It cannot be read, or has faults: all of them, one a line, each with its path.
    """
    fields = toml.read(path)
    faults: list[str] = []
    anchors = _take_anchors(fields, path, faults)
    _take_none(fields)
    _take_labels(fields, path, faults)
    written = None
    try:
        written = read_record(Written, fields)
    except Unsound as error:
        faults += [fault.sentence() for fault in error.faults]
    if written is None or faults:
        raise ConfigError("\n".join(f"{path}: {fault}" for fault in faults))
    return Description(
        name=written.model.name,
        digest=digest_of(flatbuffer),
        input=written.input,
        outputs=written.outputs,
        head=written.head,
        labels=written.model.labels,
        score_threshold=written.model.score_threshold,
        iou_threshold=written.model.iou_threshold,
        anchors=anchors,
    )


def _take_labels(fields: dict[str, Any], path: Path, faults: list[str]) -> None:
    """Put the lines of a file of labels in the place of its name."""
    model = fields.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("labels"), str):
        return
    name, model["labels"] = model["labels"], ()
    try:
        text = _read_beside(path, name).decode("utf-8-sig")  # Notepad marks it
    except (OSError, ValueError) as error:
        faults.append(f"[model] labels: {name} cannot be read: {_reason(error)}")
        return
    model["labels"] = [line.strip() for line in text.removesuffix("\n").split("\n")]


def _take_none(fields: dict[str, Any]) -> None:
    """Give the head no value where the text "none" stands, as TOML has no null."""
    head = fields.get("head")
    if isinstance(head, dict) and head.get("background") == "none":
        head["background"] = None


def _take_anchors(
    fields: dict[str, Any], path: Path, faults: list[str]
) -> NDArray[np.float32] | None:
    """Take the anchors out of the head, where they stand inline or as the name of an `.npy`."""
    head = fields.get("head")
    if not isinstance(head, dict) or "anchors" not in head:
        return None
    given = head.pop("anchors")
    try:
        if isinstance(given, str):
            return anchors_from_bytes(_read_beside(path, given))
        return anchors_from_rows(given)
    except (OSError, ValueError, TypeError) as error:
        faults.append(
            f"[head] anchors: expected rows (cy, cx, h, w) in shares of the input, or the name of "
            f"an .npy of such float32: {_reason(error)}"
        )
        return None


def _read_beside(path: Path, name: str) -> bytes:
    file = path.parent / name
    if file.stat().st_size > MAX_SIDE_FILE_BYTES:
        raise ValueError(f"it has over {MAX_SIDE_FILE_BYTES} bytes")
    return file.read_bytes()


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
