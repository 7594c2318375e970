"""A description that a person wrote: a TOML beside a `.tflite` of any origin."""

from __future__ import annotations

import difflib
import hashlib
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError

from edge.config import toml
from edge.errors import ConfigError
from edge.heads import HEADS, AnyHead
from edge.model.description import Description, InputTransform
from edge.model.readers.anchors import anchors_from_bytes, anchors_from_rows
from edge.record import Ratio, Record, Text

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

MAX_SIDE_FILE_BYTES = 16 * 2**20  # of labels or anchors; 25,200 anchors take 0.4 MiB


class Model(Record):
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


class Written(Record):
    """The tables of the file."""

    model: Model
    input: InputTransform
    outputs: Annotated[dict[Text, Text], Field(min_length=1)]
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
    _take_labels(fields, path, faults)
    written = None
    try:
        written = Written.model_validate(fields)
    except ValidationError as error:
        faults += [_sentence(fault, fields) for fault in error.errors()]
    if written is None or faults:
        raise ConfigError("\n".join(f"{path}: {fault}" for fault in faults))
    return Description(
        name=written.model.name,
        digest="sha256:" + hashlib.sha256(flatbuffer).hexdigest(),
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
        text = _read_beside(path, name).decode()
    except (OSError, ValueError) as error:
        faults.append(f"[model] labels: {name} cannot be read: {_reason(error)}")
        return
    model["labels"] = [line.strip() for line in text.removesuffix("\n").split("\n")]


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


def _sentence(fault: ErrorDetails, fields: dict[str, Any]) -> str:
    """Return one fault of pydantic's as ``[table] key: what was expected, found …``."""
    table, *keys = [str(part) for part in fault["loc"]]
    key = ".".join(keys)
    if fault["type"] == "missing":
        return f"[{table}] {key} is needed and missing" if key else f"[{table}] is missing"
    if fault["type"] == "extra_forbidden":
        known = _known(table, fields) if key else list(Written.model_fields)
        guess = difflib.get_close_matches(keys[-1] if keys else table, known, n=1)
        hint = f"did you mean {guess[0]!r}?" if guess else f"there are {', '.join(known)}"
        return f"[{table}] unknown key {key!r}; {hint}" if key else f"unknown [{table}]; {hint}"
    text = fault["msg"].removeprefix("Value error, ")
    found = "" if fault["type"].endswith(("error", "head", "found")) else _found(fault["input"])
    return f"[{table}]{' ' if key else ''}{key}: {text[:1].lower()}{text[1:]}{found}"


def _known(table: str, fields: dict[str, Any]) -> list[str]:
    """Return the keys of a table; those of a head by its kind."""
    if table == "head":
        return list(HEADS[fields["head"]["kind"]].schema.model_fields)
    schema: type[BaseModel] = Model if table == "model" else InputTransform
    return list(schema.model_fields)


def _found(value: object) -> str:
    text = repr(value)
    return f", found {text if len(text) < 80 else text[:80] + '…'}"  # noqa: PLR2004 - of a line
