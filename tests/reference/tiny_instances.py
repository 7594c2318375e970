"""A model of instance masks, and one of poses, of three ops, written byte by byte.

Each of the 3 x 4 cells of 8 x 8 pixels is a box. How red, green and blue it is at most are its
scores, its coefficients (or its point: x, y, score) and its sides but the left, which is 1 cell. So
a red cell's box ends at its centre and is 8 x 8 pixels large. The prototypes are the image, the
maximum of each 2 x 2 pixels: what is seen is plain arithmetic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import factories
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from reference.tiny_segmenter import INPUT_WH, LABELS, _tensor

from edge.decode.anchor_free import AnchorFreeGrid, AnchorFreeHead
from edge.decode.instance_masks import PrototypeMasksHead
from edge.decode.keypoints import KeypointsHead
from edge.model import model_file
from edge.model.readers import manifest

if TYPE_CHECKING:
    from pathlib import Path

    from edge.model.description import HeadSchema
    from edge.model.model_file import ModelFile

CELL_PX, PROTOTYPE_PX = 8, 2
BOXES = AnchorFreeHead(
    grids=(AnchorFreeGrid(boxes="sides", scores="scores", stride_px=CELL_PX),), boxes="distances"
)
OUTPUTS = {"sides": "sides", "scores": "cells"}


def write_instances(path: Path) -> ModelFile:
    """Write the model of instance masks with its manifest, and return it as read."""
    head = PrototypeMasksHead(boxes=BOXES, coefficients=("coefficients",))
    outputs = OUTPUTS | {"coefficients": "cells", "prototypes": "prototypes"}
    return _write(path, head, outputs)


def write_poses(path: Path) -> ModelFile:
    """Write the pose model with its manifest, and return it as read."""
    head = KeypointsHead(boxes=BOXES, keypoints=("points",), names=("corner",))
    return _write(path, head, OUTPUTS | {"points": "cells"})


def _write(path: Path, head: HeadSchema, outputs: dict[str, str]) -> ModelFile:
    described = factories.manifest(
        name="strongest",
        input=factories.input_transform(size_wh=INPUT_WH, resize="stretch"),
        outputs=outputs,
        head=head,
        labels=LABELS,
        score_threshold=0.6,
    )
    path.write_bytes(manifest.append(flatbuffer(), described, None))
    return model_file.read(path)


def flatbuffer() -> bytes:
    """Return the bare model, `(1, 24, 32, 3)`, x / 255."""
    width, height = INPUT_WH
    cells = [1, height // CELL_PX, width // CELL_PX]
    fine = [1, height // PROTOTYPE_PX, width // PROTOTYPE_PX]
    graph = schema.SubGraphT()
    graph.tensors = [
        _tensor("image", [1, height, width, 3]), _tensor("cells", [*cells, 3]),
        _tensor("prototypes", [*fine, 3]), _tensor("sides", [*cells, 4]), _paddings(), _one(),
    ]  # fmt: skip
    graph.inputs, graph.outputs = [0], [1, 2, 3]
    pad = schema.OperatorT()
    pad.opcodeIndex, pad.inputs, pad.outputs = 1, [1, 4, 5], [3]
    pad.builtinOptionsType = schema.BuiltinOptions.PadV2Options
    pad.builtinOptions = schema.PadV2OptionsT()
    graph.operators = [_pool(CELL_PX, 1), _pool(PROTOTYPE_PX, 2), pad]
    paddings, one = schema.BufferT(), schema.BufferT()
    one.data = np.array([127], np.uint8)
    paddings.data = np.array([[0, 0], [0, 0], [0, 0], [1, 0]], np.int32).view(np.uint8).reshape(-1)
    model = schema.ModelT()
    model.version = 3
    model.buffers, model.subgraphs = [schema.BufferT(), paddings, one], [graph]
    model.operatorCodes = [
        _code(schema.BuiltinOperator.MAX_POOL_2D), _code(schema.BuiltinOperator.PADV2)
    ]  # fmt: skip
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _code(operator: int) -> schema.OperatorCodeT:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = operator
    code.version = 2  # int8
    return code


def _pool(side_px: int, output: int) -> schema.OperatorT:
    pool = schema.Pool2DOptionsT()
    pool.padding = schema.Padding.VALID
    pool.strideW = pool.strideH = pool.filterWidth = pool.filterHeight = side_px
    op = schema.OperatorT()
    op.opcodeIndex, op.inputs, op.outputs = 0, [0], [output]
    op.builtinOptionsType, op.builtinOptions = schema.BuiltinOptions.Pool2DOptions, pool
    return op


def _paddings() -> schema.TensorT:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = (
        "paddings", [4, 2], schema.TensorType.INT32, 1,
    )  # fmt: skip
    return tensor


def _one() -> schema.TensorT:
    tensor = _tensor("one", [1])
    tensor.buffer = 2
    return tensor
