"""ONNX models written byte by byte, without the package `onnx`: sound ones and hostile ones."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import factories
import numpy as np

from edge.decode.segmentation import SegmentationHead
from edge.model.readers.anchors import anchors_to_bytes
from edge.model.readers.manifest import ANCHORS_MEMBER, MANIFEST_MEMBER, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable

FLOAT = 1


def number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def message(field: int, *parts: bytes | str) -> bytes:
    body = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
    return _varint(field << 3 | 2) + _varint(len(body)) + body


def tensor(name: str, values: np.ndarray, *more: bytes) -> bytes:
    """Return a float32 TensorProto's fields, with others behind."""
    dims = b"".join(number(1, side) for side in values.shape)
    raw = message(9, np.asarray(values, "<f4").tobytes())
    return dims + number(2, FLOAT) + message(8, name) + raw + b"".join(more)


def node(op: str, inputs: Iterable[str], output: str, *attributes: bytes) -> bytes:
    names = b"".join(message(1, name) for name in inputs)
    parts = (message(5, attribute) for attribute in attributes)
    return names + message(2, output) + message(4, op) + b"".join(parts)


def integers(name: str, *values: int) -> bytes:
    """Return an attribute of integers."""
    return message(1, name) + b"".join(number(8, value) for value in values) + number(20, 7)


def integer(name: str, value: int) -> bytes:
    """Return an attribute of one integer."""
    return message(1, name) + number(3, value) + number(20, 2)


def end(name: str, shape: Iterable[int | str], dtype: int = FLOAT) -> bytes:
    dims = (
        message(1, number(1, side) if isinstance(side, int) else message(2, side)) for side in shape
    )
    return message(1, name) + message(2, message(1, number(1, dtype), message(2, *dims)))


def model(graph: bytes, *more: bytes, opset: int = 17) -> bytes:
    return number(1, 8) + message(7, graph) + message(8, number(2, opset)) + b"".join(more)


def graph(
    nodes: Iterable[bytes],
    weights: Iterable[bytes] = (),
    *,
    inputs: Iterable[bytes],
    outputs: Iterable[bytes],
) -> bytes:
    parts = [(1, nodes), (5, weights), (11, inputs), (12, outputs)]
    return message(2, "g") + b"".join(message(at, each) for at, items in parts for each in items)


def segmenter(side: int = 8, classes: int = 3, *, channels_first: bool = False) -> bytes:
    """Return a model with input `image` and output `classes`: one 1 x 1 convolution."""
    kernel = np.linspace(-1, 1, classes * 3).reshape(classes, 3, 1, 1)
    first = [] if channels_first else [node("Transpose", ["image"], "x", _order(0, 3, 1, 2))]
    conv = node("Conv", ["image" if channels_first else "x", "w"], "y")
    last = node("Transpose", ["y"], "classes", _order(0, 2, 3, 1))
    shape = (1, 3, side, side) if channels_first else (1, side, side, 3)
    return model(
        graph(
            [*first, conv, last],
            [tensor("w", kernel)],
            inputs=[end("image", shape)],
            outputs=[end("classes", (1, side, side, classes))],
        )
    )


def _order(*axes: int) -> bytes:
    return integers("perm", *axes)


def sealed(bare: bytes, manifest, anchors=None) -> bytes:
    """Return a model with a manifest in its metadata, as the converter writes it."""
    text = json.dumps(manifest.replace(digest=digest_of(bare)).plain())
    entries = {MANIFEST_MEMBER: text}
    if anchors is not None:
        entries[ANCHORS_MEMBER] = base64.b64encode(anchors_to_bytes(anchors)).decode()
    return bare + b"".join(
        message(14, message(1, key), message(2, value)) for key, value in entries.items()
    )


def described(bare: bytes, side: int, **changes) -> bytes:
    """Return `segmenter`'s model with its manifest."""
    fields = {
        "input": factories.input_transform(size_wh=(side, side), resize="stretch"),
        "outputs": {"classes": "classes"},
        "head": SegmentationHead(activation="softmax"),
    }
    return sealed(bare, factories.manifest(**fields | changes))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))
