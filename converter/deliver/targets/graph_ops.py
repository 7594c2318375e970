"""A `.tflite` as a list of ops with their options and constants: what the targets' writers read."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converter import flatbuffer as fb
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.model.model_file import ModelFile

ABSENT = -1
NUMPY_TYPES = {
    "FLOAT32": "<f4",
    "FLOAT16": "<f2",
    "INT8": "i1",
    "UINT8": "u1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "BOOL": "?",
}
# What the generated reader of a damaged FlatBuffer raises: it checks nothing.
DAMAGED = (TypeError, ValueError, IndexError, AttributeError, KeyError, struct.error, OverflowError)


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor.

    Attributes:
        is_static: Whether its shape is known before the model runs.
        data: Stored bytes of a constant; empty for a computed tensor.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    is_static: bool
    data: bytes

    @property
    def value(self) -> NDArray[Any]:
        """The values of a constant."""
        return np.frombuffer(self.data, NUMPY_TYPES[self.dtype]).reshape(self.shape)


@dataclass(frozen=True, slots=True)
class Op:
    """One op.

    Attributes:
        kind: Builtin name, such as `CONV_2D`, or the custom op's own.
        version: Of the builtin.
        options: The schema's options of that kind (`Conv2DOptionsT`), or `None`.
        inputs: Tensor numbers; `ABSENT` for an optional input left out.
        outputs: Tensor numbers.
    """

    kind: str
    is_custom: bool
    version: int
    options: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OpGraph:
    """The only subgraph of a model.

    Attributes:
        path: Of the model, for messages.
        inputs: Tensor numbers.
        outputs: Tensor numbers.
    """

    path: Path
    ops: tuple[Op, ...]
    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def is_constant(self, index: int) -> bool:
        """Return whether a tensor is stored in the file."""
        return index != ABSENT and bool(self.tensors[index].data)

    def computed_inputs(self, op: Op) -> list[int]:
        """Return the inputs of an op that are neither constants nor absent."""
        return [index for index in op.inputs if index != ABSENT and not self.is_constant(index)]


def read_graph(file: ModelFile) -> OpGraph:
    """Return the graph of a model file.

    Raises:
        ModelError: It is damaged, or has branches or loops.
    """
    try:
        model = fb.unpack(file.flatbuffer)
        graph = model.subgraphs[0]
        found = OpGraph(
            path=file.path,
            ops=tuple(_ops(model, graph)),
            tensors=tuple(_tensors(model, graph)),
            inputs=tuple(map(int, graph.inputs)),
            outputs=tuple(map(int, graph.outputs)),
        )
    except DAMAGED as error:
        raise ModelError(
            f"{file.path}: expected a whole TensorFlow Lite model, found one that is damaged; "
            "copy the file again"
        ) from error
    if len(model.subgraphs) > 1:
        raise ModelError(
            f"{file.path}: expected one graph, found {len(model.subgraphs)}: it branches or loops; "
            "convert a model without"
        )
    return found


def _names(enumeration: Any) -> dict[int, str]:  # noqa: ANN401
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


def _sides(shape: Any) -> tuple[int, ...]:  # noqa: ANN401
    return () if shape is None else tuple(int(side) for side in shape)


def inline_weights(flatbuffer: bytes) -> bytes:
    """Return the model with all its weights inside the FlatBuffer.

    litert-quantizer stores those of 1 KiB and more behind it, where a reader older than 2023 finds
    none at all.
    """
    return fb.pack(fb.unpack(flatbuffer))


def _tensors(model: Any, graph: Any) -> Iterator[Tensor]:  # noqa: ANN401
    types = _names(schema.TensorType)
    for tensor in graph.tensors:
        data = model.buffers[tensor.buffer].data
        signature = _sides(tensor.shapeSignature)
        yield Tensor(
            name=tensor.name.decode(),
            shape=_sides(tensor.shape),
            dtype=types[tensor.type],
            is_static=min(signature, default=1) >= 0,
            data=b"" if data is None else bytes(data),
        )


def _ops(model: Any, graph: Any) -> Iterator[Op]:  # noqa: ANN401
    kinds = _names(schema.BuiltinOperator)
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex]
        builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
        custom = builtin == schema.BuiltinOperator.CUSTOM
        yield Op(
            kind=code.customCode.decode() if custom else kinds[builtin],
            is_custom=custom,
            version=int(code.version),
            options=op.builtinOptions,
            inputs=tuple(map(int, op.inputs)),
            outputs=tuple(map(int, op.outputs)),
        )
