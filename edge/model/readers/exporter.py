"""What the exporters of Ultralytics and of the YOLOv5 repository write beside a graph.

A dict of `names`, `stride`, `task` ...: as texts in the properties of an `.onnx`, and in a zip
behind a `.tflite`. There it is `metadata.json` since 2025; older files have a text that `repr`
wrote, beside TFLite Metadata that says less. Whatever the version, a model takes R G B in 0 to 1.
Source: `engine/exporter.py` of Ultralytics; `export.py` of YOLOv5.
"""

from __future__ import annotations

import ast
import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

from edge.errors import ModelError
from edge.model.declared import Told
from edge.model.readers.manifest import DAMAGED
from edge.record import storable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MEMBER, OLD_SUFFIX = "metadata.json", ".txt"
MAX_BYTES = 2**20
# Of literals together: Python's parser takes 450 times their bytes, and 2 s for 1 MiB.
MAX_LITERAL_BYTES = 2**18
# Of these in one literal: each nests what stands before it, as in 1+1+1, and Python 3.10 counts no
# depth. 131,000 of them overflow its stack of 8 MiB and end the process; 80,000 do not.
NESTING, MAX_NESTING = "+-*/%@&|^<>.([", 2**14
# Which keys say that it was this exporter; another's `metadata.json` means what that one likes.
KEYS = {"names", "stride"}
JSON_KEYS = KEYS | {"task", "imgsz"}
WHITE = 255.0  # its nets take pixels in 0..1
# What a damaged or hostile literal raises.
NO_LITERAL = (ValueError, SyntaxError, MemoryError, RecursionError)
LITERALS = ("names", "imgsz", "kpt_shape", "end2end", "stride", "channels", "args")


def told(path: Path, data: bytes) -> Told | None:
    """Return what an exporter's metadata says; `None` where there is none.

    Raises:
        ModelError: There is, but it is damaged.
    """
    facts = _facts(path, data)
    return None if facts is None else told_by(path, facts)


def told_by(path: Path, facts: Mapping[str, Any]) -> Told | None:
    """Return what the exporter's keys say; `None` where these are not all its own.

    Args:
        path: For messages.
        facts: By key; those of an ONNX file are all texts.

    Raises:
        ModelError: They cannot be true.
    """
    if not facts.keys() >= KEYS:
        return None
    texts = {key: facts[key] for key in LITERALS if isinstance(facts.get(key), str)}
    try:
        if sum(map(len, texts.values())) > MAX_LITERAL_BYTES:
            raise ValueError(f"it has over {MAX_LITERAL_BYTES} characters")
        return _told({**facts, **{key: _literal(text) for key, text in texts.items()}})
    except (*NO_LITERAL, TypeError, KeyError, OverflowError) as error:
        raise ModelError(
            f"{path}: the metadata that its exporter appended is damaged ({error}); export it again"
        ) from error


def _told(facts: dict[str, Any]) -> Told:
    task = str(facts.get("task", "detect"))
    return Told(
        by="its exporter's metadata",
        labels=_labels(facts["names"]),
        color="grey" if int(facts.get("channels", 3)) == 1 else "rgb",
        mean=(0.0, 0.0, 0.0),
        std=(WHITE, WHITE, WHITE),
        size_wh=_size_wh(facts.get("imgsz")),
        # Of a frame, a classifier of square images gets the middle, another the whole, stretched.
        # It never saw a bar; in training its images have 3/4 to 4/3 of their aspect. Source:
        # `classify_transforms`, `classify_augmentations` of Ultralytics' `data/augment.py`.
        resize="stretch" if task == "classify" else "letterbox",
        task=task,
        facts=facts,
    )


def _size_wh(sides: Any) -> tuple[int, int] | None:  # noqa: ANN401 - what stands in a file
    """Return `imgsz`, one side or height and width, as width and height."""
    if sides is None:
        return None
    height, width = (sides, sides) if isinstance(sides, int) else map(int, sides)
    return width, height


def _labels(names: Any) -> tuple[str, ...]:  # noqa: ANN401 - what stands in a file
    if isinstance(names, dict):
        by_id = {int(key): str(name) for key, name in names.items()}
        if sorted(by_id) != list(range(len(by_id))):
            raise ValueError(f"names has the class ids {sorted(by_id)[:5]}")
        names = [by_id[number] for number in range(len(by_id))]
    if not isinstance(names, list) or not names:
        raise ValueError("names is no list of labels")
    return tuple(storable(str(name)) for name in names)


def _facts(path: Path, data: bytes) -> dict[str, Any] | None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            left = {MEMBER: MAX_BYTES, OLD_SUFFIX: MAX_LITERAL_BYTES}
            for info in archive.infolist():
                is_json = info.filename == MEMBER
                kind = MEMBER if is_json else info.filename[-len(OLD_SUFFIX) :]
                if info.file_size > left.get(kind, -1):
                    continue
                left[kind] -= info.file_size
                facts = _parse(archive.read(info), is_json=is_json)
                if isinstance(facts, dict) and (JSON_KEYS if is_json else KEYS) <= facts.keys():
                    return facts
    except (*DAMAGED, *NO_LITERAL, RuntimeError) as error:
        if MEMBER.encode() in data:
            raise ModelError(
                f"{path}: the metadata that its exporter appended cannot be read ({error}); "
                "copy the file again, or export it again"
            ) from error
    return None


def _parse(data: bytes, *, is_json: bool) -> Any:  # noqa: ANN401
    if is_json:
        return json.loads(data)
    try:  # a list of labels is no literal
        return _literal(data.decode())
    except NO_LITERAL:
        return None


def _literal(text: str) -> Any:  # noqa: ANN401
    if sum(map(text.count, NESTING)) > MAX_NESTING:
        raise ValueError(f"a text in it has over {MAX_NESTING} of {NESTING}")
    return ast.literal_eval(text)
