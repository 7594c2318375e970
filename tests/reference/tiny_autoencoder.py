"""An autoencoder of one op, written byte by byte: it knows even areas, and no bright points.

The net is a 3 x 3 maximum over int8 pixels, so that its error is plain arithmetic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import factories
import flatbuffers
from ai_edge_litert import schema_py_generated as schema
from reference.tiny_segmenter import INPUT_WH, _tensor

from edge.decode.anomaly import AnomalyHead
from edge.model import model_file
from edge.model.readers import manifest

if TYPE_CHECKING:
    from pathlib import Path

    from edge.model.model_file import ModelFile

THRESHOLD = 0.01


def write(path: Path) -> ModelFile:
    """Write the model with its manifest, and return it as read; units are shares of white."""
    described = factories.manifest(
        name="even",
        input=factories.input_transform(size_wh=INPUT_WH, padding=0),
        outputs={"reconstruction": "maximum"},
        head=AnomalyHead(threshold=THRESHOLD, grid_wh=(4, 3)),
        labels=(),
    )
    path.write_bytes(manifest.append(flatbuffer(), described, None))
    return model_file.read(path)


def flatbuffer() -> bytes:
    """Return the bare model, `(1, 24, 32, 3)` to the same, x / 255."""
    width, height = INPUT_WH
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.MAX_POOL_2D
    code.version = 2  # int8
    pool = schema.Pool2DOptionsT()
    pool.padding, pool.strideW, pool.strideH = schema.Padding.SAME, 1, 1
    pool.filterWidth = pool.filterHeight = 3
    op = schema.OperatorT()
    op.opcodeIndex, op.inputs, op.outputs = 0, [0], [1]
    op.builtinOptionsType, op.builtinOptions = schema.BuiltinOptions.Pool2DOptions, pool
    graph = schema.SubGraphT()
    shape = [1, height, width, 3]
    graph.tensors = [_tensor("image", shape), _tensor("maximum", shape)]
    graph.inputs, graph.outputs, graph.operators = [0], [1], [op]
    model = schema.ModelT()
    model.version = 3
    model.buffers, model.operatorCodes, model.subgraphs = [schema.BufferT()], [code], [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
