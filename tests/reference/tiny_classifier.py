"""A classifier of one op, written byte by byte: how much red, green and blue an image holds.

The net is the average of int8 pixels, so that a class's score is plain arithmetic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import factories
import flatbuffers
from ai_edge_litert import schema_py_generated as schema
from reference.tiny_segmenter import INPUT_WH, LABELS, _tensor

from edge.decode.classes import ClassesHead
from edge.model import model_file
from edge.model.readers import manifest

if TYPE_CHECKING:
    from pathlib import Path

    from edge.model.model_file import ModelFile


def write(path: Path) -> ModelFile:
    """Write the model with its manifest, and return it as read; a score is a mean in [0, 1]."""
    described = factories.manifest(
        name="colours",
        input=factories.input_transform(size_wh=INPUT_WH, resize="stretch"),
        outputs={"scores": "mean"},
        head=ClassesHead(activation="none", top=2),
        labels=LABELS,
        score_threshold=0.25,
    )
    path.write_bytes(manifest.append(flatbuffer(), described, None))
    return model_file.read(path)


def flatbuffer() -> bytes:
    """Return the bare model, `(1, 24, 32, 3)` to `(1, 1, 1, 3)`, x / 255."""
    width, height = INPUT_WH
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.AVERAGE_POOL_2D
    code.version = 2  # int8
    pool = schema.Pool2DOptionsT()
    pool.padding, pool.strideW, pool.strideH = schema.Padding.VALID, 1, 1
    pool.filterWidth, pool.filterHeight = width, height
    op = schema.OperatorT()
    op.opcodeIndex, op.inputs, op.outputs = 0, [0], [1]
    op.builtinOptionsType, op.builtinOptions = schema.BuiltinOptions.Pool2DOptions, pool
    graph = schema.SubGraphT()
    graph.tensors = [_tensor("image", [1, height, width, 3]), _tensor("mean", [1, 1, 1, 3])]
    graph.inputs, graph.outputs, graph.operators = [0], [1], [op]
    model = schema.ModelT()
    model.version = 3
    model.buffers, model.operatorCodes, model.subgraphs = [schema.BufferT()], [code], [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
