"""The FlatBuffer of a `.tflite`, read and rewritten by the schema that ai-edge-litert ships."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edge.errors import ModelError
from edge.model.model_file import FLATBUFFER_IDENTIFIER

if TYPE_CHECKING:
    from pathlib import Path


def read_model_bytes(path: Path) -> bytes:
    """Return the bytes of a `.tflite`, with or without a manifest behind it.

    Raises:
        ModelError: It cannot be read, or is no TensorFlow Lite model.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{path}: expected a .tflite model, which cannot be read: {error.strerror}"
        ) from error
    if data[4:8] != FLATBUFFER_IDENTIFIER:
        raise ModelError(
            f"{path}: expected a TensorFlow Lite model, found {len(data)} bytes of something else; "
            "give a .tflite file"
        )
    return data


def unpack(flatbuffer: bytes) -> Any:  # noqa: ANN401
    """Return the model as the schema's tree of objects (`ModelT`), all weights in its buffers.

    litert-quantizer, for one, writes larger weights behind the tables, and their places into these.

    Raises:
        ValueError: Such a place lies outside the file.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(flatbuffer, 0))
    for buffer in model.buffers:
        if buffer.offset <= 1:  # the schema: 0 and 1 are no offsets
            continue
        if buffer.offset + buffer.size > len(flatbuffer):
            raise ValueError(f"weights at {buffer.offset} lie behind the end of the model")
        found = flatbuffer[buffer.offset : buffer.offset + buffer.size]
        buffer.data, buffer.offset, buffer.size = np.frombuffer(found, np.uint8), 0, 0
    return model


def pack(model: Any) -> bytes:  # noqa: ANN401
    """Return the bytes of a `ModelT`; the same tree gives the same bytes."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), FLATBUFFER_IDENTIFIER)
    return bytes(builder.Output())


def with_role_names(flatbuffer: bytes) -> bytes:
    """Return the model with its input and output tensors named as its signature names them.

    Tensor names of TensorFlow's converter (`StatefulPartitionedCall:1`) change with its version.
    """
    model = unpack(flatbuffer)
    signature = model.signatureDefs[0]
    tensors = model.subgraphs[signature.subgraphIndex].tensors
    for row in [*signature.inputs, *signature.outputs]:
        tensors[row.tensorIndex].name = row.name
    return pack(model)


def with_output_names(flatbuffer: bytes, names: list[str]) -> bytes:
    """Return the model with its output tensors, in their order, bearing these names.

    A tensor inside that bears one of them gets another: names are what outputs are addressed by.
    """
    model = unpack(flatbuffer)
    graph = model.subgraphs[0]
    if [graph.tensors[index].name.decode() for index in graph.outputs] == names:
        return flatbuffer
    for tensor in graph.tensors:
        if tensor.name.decode() in names:
            tensor.name = f"{tensor.name.decode()}_inside"
    for index, name in zip(graph.outputs, names, strict=True):
        graph.tensors[index].name = name
    return pack(model)
