"""A segmenter of one op, written byte by byte: which of red, green and blue is the strongest.

The net is a 2 x 2 maximum over int8 pixels, so that a cell's class is plain arithmetic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import factories
import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from edge.decode.segmentation import SegmentationHead
from edge.model import model_file
from edge.model.readers import manifest

if TYPE_CHECKING:
    from pathlib import Path

    from edge.model.model_file import ModelFile

INPUT_WH = (32, 24)
CELL_PX = 2
LABELS = ("red", "green", "blue")
BACKGROUND = 0


def write(path: Path, *, custom_op: str = "", labels: tuple[str, ...] = LABELS) -> ModelFile:
    """Write the model with its manifest, and return it as read.

    Args:
        path: Of the file.
        custom_op: Stands in the net's place, as a compiler for an accelerator leaves it.
        labels: Of its three classes.
    """
    described = factories.manifest(
        name="strongest",
        input=factories.input_transform(size_wh=INPUT_WH),
        outputs={"classes": "pooled"},
        head=SegmentationHead(activation="softmax", background=BACKGROUND),
        labels=labels,
    )
    path.write_bytes(manifest.append(flatbuffer(custom_op), described, None))
    return model_file.read(path)


def flatbuffer(custom_op: str = "") -> bytes:
    """Return the bare model, `(1, 24, 32, 3)` to `(1, 12, 16, 3)`, x / 255."""
    width, height = INPUT_WH
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.MAX_POOL_2D
    code.version = 2  # int8
    pool = schema.Pool2DOptionsT()
    pool.padding = schema.Padding.VALID
    pool.strideW = pool.strideH = pool.filterWidth = pool.filterHeight = CELL_PX
    op = schema.OperatorT()
    op.opcodeIndex, op.inputs, op.outputs = 0, [0], [1]
    if custom_op:
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = custom_op
    else:
        op.builtinOptionsType, op.builtinOptions = schema.BuiltinOptions.Pool2DOptions, pool
    graph = schema.SubGraphT()
    graph.tensors = [
        _tensor("image", [1, height, width, 3]),
        _tensor("pooled", [1, height // CELL_PX, width // CELL_PX, 3]),
    ]
    graph.inputs, graph.outputs, graph.operators = [0], [1], [op]
    model = schema.ModelT()
    model.version = 3
    model.buffers, model.operatorCodes, model.subgraphs = [schema.BufferT()], [code], [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(name: str, shape: list[int]) -> schema.TensorT:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape, schema.TensorType.INT8, 0
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = [1 / 255], [-128]
    return tensor
