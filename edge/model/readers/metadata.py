"""TFLite Metadata: a FlatBuffer inside the model's, and label files in a zip behind it.

Fields are numbered as in metadata_schema.fbs; read without any package of its own.
"""

from __future__ import annotations

import io
import struct
import zipfile
from typing import TYPE_CHECKING

from edge.errors import ModelError
from edge.model.declared import Color, Told, Triple
from edge.model.flatbuffer import DamagedError, FlatBuffer, Table
from edge.model.readers.manifest import DAMAGED, MAX_MEMBERS_BYTES
from edge.model.structure import UINT8, UINT32

if TYPE_CHECKING:
    from pathlib import Path

ENTRY, IDENTIFIER = "TFLITE_METADATA", b"M001"
SEGMENTER = "SEGMENTER_METADATA"
ACTIVATIONS = ("none", "sigmoid", "softmax")  # of its enum
IMAGE = 2  # of the union ContentProperties
NORMALISATION = 1  # of the union ProcessUnitOptions
COLORS: dict[int, Color] = {1: "rgb", 2: "grey"}
LABEL_FILES = (2, 3)  # labels of an axis, of values
UNUSED = "???"  # how label files of TensorFlow mark an id that the data set never used
PLAIN_LOCALES = ("", "en")


def told(path: Path, data: bytes) -> Told | None:
    """Return what TFLite Metadata says of the first graph; `None` where there is none.

    Raises:
        ModelError: There is, but it is damaged.
    """
    if ENTRY.encode() not in data:
        return None
    try:
        found = _find(FlatBuffer(data))
        return None if found is None else _read(FlatBuffer(found), data)
    except (DamagedError, struct.error, *DAMAGED, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(
            f"{path}: its TFLite Metadata is damaged ({error}); copy the file again, or describe "
            "the model in a TOML"
        ) from error


def _find(model: FlatBuffer) -> bytes | None:
    root = model.root()
    buffers = model.children(root, 4)
    for entry in model.children(root, 6):
        if model.text(entry, 0) == ENTRY:
            start, count = model.vector(buffers[model.scalar(entry, 1, UINT32)], 0, 1)
            return model.data[start : start + count]
    return None


def _read(flat: FlatBuffer, data: bytes) -> Told:
    if flat.data[4:8] != IDENTIFIER:
        raise DamagedError(f"it begins with {flat.data[4:8]!r}")
    root = flat.root()
    graphs = flat.children(root, 3)
    inputs = flat.children(graphs[0], 2) if graphs else []
    outputs = flat.children(graphs[0], 3) if graphs else []
    color, mean, std = _input(flat, inputs[0]) if len(inputs) == 1 else (None, None, None)
    activation = _segmenter(flat, graphs[0]) if graphs else None
    labels = (_labels(flat, output, data) for output in outputs)
    return Told(
        by="TFLite Metadata",
        name=flat.text(root, 0),
        labels=next(filter(None, labels), ()),
        color=color,
        mean=mean,
        std=std,
        task="" if activation is None else "segmenter",
        facts={} if activation is None else {"activation": activation},
    )


def _input(flat: FlatBuffer, tensor: Table) -> tuple[Color | None, Triple | None, Triple | None]:
    content = flat.child(tensor, 3)
    color: Color | None = None
    if content and flat.scalar(content, 0, UINT8) == IMAGE:
        properties = flat.child(content, 1)
        color = COLORS.get(flat.scalar(properties, 0, UINT8)) if properties else None
    for unit in flat.children(tensor, 4):
        options = flat.child(unit, 1)
        if options and flat.scalar(unit, 0, UINT8) == NORMALISATION:
            mean, std = _floats(flat, options, 0), _floats(flat, options, 1)
            if mean and std and min(std) > 0:
                return color, mean, std
    return color, None, None


def _floats(flat: FlatBuffer, table: Table, number: int) -> Triple | None:
    """Return one number for each channel, where a vector has one for all or three."""
    start, count = flat.vector(table, number, 4)
    values = struct.unpack_from(f"<{count}f", flat.data, start) if count in (1, 3) else ()
    return (values[0], values[-1 if count == 1 else 1], values[-1]) if values else None


def _segmenter(flat: FlatBuffer, graph: Table) -> str | None:
    """Return what is still to be applied to a segmenter's output."""
    for custom in flat.children(graph, 9):
        if flat.text(custom, 0) == SEGMENTER:
            start, count = flat.vector(custom, 1, 1)
            options = FlatBuffer(flat.data[start : start + count])
            number = options.scalar(options.root(), 0, UINT8)
            return ACTIVATIONS[number] if number < len(ACTIVATIONS) else None
    return None


def _labels(flat: FlatBuffer, tensor: Table, data: bytes) -> tuple[str, ...]:
    """Return the lines of an output's label file, the plain or English one where there are more."""
    files = [
        (flat.text(file, 3), flat.text(file, 0))
        for file in flat.children(tensor, 6)
        if flat.scalar(file, 2, UINT8) in LABEL_FILES
    ]
    if not files:
        return ()
    plain = [name for locale, name in files if locale in PLAIN_LOCALES] or [files[0][1]]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if archive.getinfo(plain[0]).file_size > MAX_MEMBERS_BYTES:
            raise DamagedError(f"{plain[0]} has over {MAX_MEMBERS_BYTES} bytes")
        lines = archive.read(plain[0]).decode("utf-8-sig").removesuffix("\n").split("\n")
    return tuple("" if line.strip() == UNUSED else line.strip() for line in lines)
