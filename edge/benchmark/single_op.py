"""Cut one op out of a `.tflite`: the same file, in which the graph is that op alone.

LiteRT names no time of a single op to Python. Of a FlatBuffer's graph four vectors say what is run:
the operators, the inputs, the outputs, and the signatures. Those are rewritten; weights, tensors
and options stay where they are, so that the op runs with the kernel and delegate it always has.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.model.backends.litert import Op

# Fields of the tables, in their order. Source: schema.fbs of TensorFlow Lite.
MODEL_SUBGRAPHS, MODEL_SIGNATURES = 2, 7
GRAPH_INPUTS, GRAPH_OUTPUTS, GRAPH_OPERATORS = 1, 2, 3
OFFSET_BYTES = 4


def cut(flatbuffer: bytes, op: Op) -> bytes:
    """Return a model that runs this op alone, on tensors of the same numbers."""
    data = bytearray(flatbuffer)
    operators = _vector(data, _graph(data), GRAPH_OPERATORS)
    first = operators + OFFSET_BYTES
    wanted = _follow(data, first + op.number * OFFSET_BYTES)
    struct.pack_into("<II", data, operators, 1, wanted - first)
    return _reconnected(data, inputs=op.inputs, outputs=op.outputs)


def empty(flatbuffer: bytes, tensor: int) -> bytes:
    """Return a model without any op: what a call costs that computes nothing.

    Args:
        flatbuffer: A model.
        tensor: Number of its input.
    """
    data = bytearray(flatbuffer)
    struct.pack_into("<I", data, _vector(data, _graph(data), GRAPH_OPERATORS), 0)
    return _reconnected(data, inputs=(tensor,), outputs=(tensor,))


def _graph(data: bytearray) -> int:
    """Return the place of the main graph's table."""
    return _follow(data, _vector(data, _offset(data, 0), MODEL_SUBGRAPHS) + OFFSET_BYTES)


def _reconnected(data: bytearray, *, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
    graph, model = _graph(data), _offset(data, 0)
    for field, tensors in ((GRAPH_INPUTS, inputs), (GRAPH_OUTPUTS, outputs)):
        data += bytes(-len(data) % OFFSET_BYTES)
        place = _field(data, graph, field)
        struct.pack_into("<I", data, place, len(data) - place)
        data += struct.pack(f"<I{len(tensors)}i", len(tensors), *tensors)
    if _field(data, model, MODEL_SIGNATURES):
        # They name inputs and outputs that the graph no longer has.
        struct.pack_into("<I", data, _vector(data, model, MODEL_SIGNATURES), 0)
    return bytes(data)


def _offset(data: bytearray, place: int) -> int:
    """Return the unsigned number at a place."""
    return int(struct.unpack_from("<I", data, place)[0])


def _follow(data: bytearray, place: int) -> int:
    """Return the place that the offset at a place leads to."""
    return place + _offset(data, place)


def _field(data: bytearray, table: int, number: int) -> int:
    """Return the place of a table's field; 0 if the table leaves it out."""
    layout = table - int(struct.unpack_from("<i", data, table)[0])
    size = int(struct.unpack_from("<H", data, layout)[0])
    entry = OFFSET_BYTES + 2 * number  # behind the two sizes
    if entry >= size:
        return 0
    distance = int(struct.unpack_from("<H", data, layout + entry)[0])
    return table + distance if distance else 0


def _vector(data: bytearray, table: int, number: int) -> int:
    """Return the place of a field's vector: its length, then its items."""
    return _follow(data, _field(data, table, number))
