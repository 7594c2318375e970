"""ONNX Resize and Upsample: TFLite's own op where it takes the same pixels, else picked rows.

Which pixels an output row is made of is worked out as the specification says, and compared with
what each mode of TFLite's op takes: names of modes that agree on one size differ on another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from converter.importers.onnx_values import IMAGE
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from converter.graph.building import Builder
    from converter.importers.onnx_folding import OnnxNode
    from converter.importers.onnx_values import Values

    Coordinates = NDArray[np.float64]

Handler = Callable[["Values", "OnnxNode"], None]
# Of TFLite's two ops, the flags of each mode.
MODES: tuple[dict[str, bool], ...] = (
    {},
    {"half_pixel": True},
    {"align_corners": True},
)
SAME_PIXEL = 1e-4  # of a pixel: float32 coordinates of images up to 4096 px
RESIZE_BY_PIXEL_SINCE = 11


class Side(NamedTuple):
    """Rows or columns before and after, and how many times more the file says that they become."""

    size: int
    out: int
    scale: float


def _resize(values: Values, node: OnnxNode) -> None:
    image = values.image(node.inputs[0])
    old = node.op == "Upsample" or values.opset < RESIZE_BY_PIXEL_SINCE
    mode = node.attrs.get("mode", b"nearest")
    if mode not in (b"nearest", b"linear", b"bilinear") or node.attrs.get("antialias", 0):
        raise ModelError(
            f"expected {node.op} ({node.name}) nearest or linear without antialias, found "
            f"{mode.decode()}"
        )
    size_hw, out_hw = values.builder.shape(image)[1:3], values.shape(node.outputs[0])[2:]
    said = values.setting(node, "scales", 1 if old else 2)
    scales = (
        [float(np.float32(scale)) for scale in said[-2:]]
        if said
        else ([out / size for size, out in zip(size_hw, out_hw, strict=True)])
    )
    sides = [Side(*side) for side in zip(size_hw, out_hw, scales, strict=True)]
    rows = [_coordinates(node, side, old=old) for side in sides]
    if mode == b"nearest":
        rows = [_rounded(node, row) for row in rows]
    rows = [np.clip(row, 0, side.size - 1) for row, side in zip(rows, sides, strict=True)]
    write = _nearest if mode == b"nearest" else _linear
    values.keep(node, write(values.builder, image, rows), IMAGE)


def _coordinates(node: OnnxNode, side: Side, *, old: bool) -> Coordinates:
    """Return where in the image each output row lies, 0 the centre of the first row.

    Source: the specification of Resize, `coordinate_transformation_mode`.
    """
    size, out, scale = side
    default = b"asymmetric" if old else b"half_pixel"
    where = node.attrs.get("coordinate_transformation_mode", default)
    x = np.arange(out, dtype=np.float64)
    centre = (x + 0.5) / scale - 0.5
    shift = size / 2 * (1 - out / (scale * size))
    known = {
        b"asymmetric": x / scale,
        b"align_corners": x * ((size - 1) / max(out - 1, 1)),
        b"half_pixel": centre,
        b"pytorch_half_pixel": centre if out > 1 else x * 0,
        b"half_pixel_symmetric": centre + shift,
    }
    if where not in known:
        raise ModelError(
            f"expected {node.op} ({node.name}) by one of the rules {list(known)}, found {where!r}"
        )
    return known[where]


def _rounded(node: OnnxNode, row: Coordinates) -> Coordinates:
    old = node.op == "Upsample"
    rounding = node.attrs.get("nearest_mode", b"floor" if old else b"round_prefer_floor")
    row = np.round(row, 6)  # what float32 makes of a whole number is that number
    return {
        b"floor": np.floor(row),
        b"ceil": np.ceil(row),
        b"round_prefer_floor": np.ceil(row - 0.5),
        b"round_prefer_ceil": np.floor(row + 0.5),
    }[rounding]


def _nearest(builder: Builder, image: str, rows: Sequence[Coordinates]) -> str:
    size_hw = builder.shape(image)[1:3]
    for flags in MODES:
        taken = [
            _tflite_nearest(size, len(row), **flags)
            for size, row in zip(size_hw, rows, strict=True)
        ]
        if all(np.array_equal(*pair) for pair in zip(taken, rows, strict=True)):
            return builder.resize("RESIZE_NEAREST_NEIGHBOR", image, [*map(len, rows)], **flags)
    for axis, row in enumerate(rows, start=1):
        image = builder.gather(image, row.astype(int).tolist(), axis)
    return image


def _tflite_nearest(
    size: int, out: int, *, half_pixel: bool = False, align_corners: bool = False
) -> Coordinates:
    """Return the rows that TFLite takes. Source: its `resize_nearest_neighbor.h`."""
    scale = np.float32((size - 1) / (out - 1) if align_corners and out > 1 else size / out)
    x = (np.arange(out) + (0.5 if half_pixel else 0)).astype(np.float32) * scale
    rows = np.floor(x + 0.5) if align_corners else np.floor(x)
    places: Coordinates = np.clip(rows, 0, size - 1).astype(np.float64)
    return places


def _linear(builder: Builder, image: str, rows: Sequence[Coordinates]) -> str:
    size_hw = builder.shape(image)[1:3]
    for flags in MODES:
        off = max(
            np.abs(row - _tflite_linear(size, len(row), **flags)).max()
            for size, row in zip(size_hw, rows, strict=True)
        )
        if off < SAME_PIXEL:
            return builder.resize("RESIZE_BILINEAR", image, [*map(len, rows)], **flags)
    for axis, row in enumerate(rows, start=1):
        image = _mixed(builder, image, row, axis=axis)
    return image


def _tflite_linear(
    size: int, out: int, *, half_pixel: bool = False, align_corners: bool = False
) -> Coordinates:
    """Return where TFLite samples. Source: its `resize_bilinear.h`."""
    x = np.arange(out, dtype=np.float64)
    if half_pixel:
        x = (x + 0.5) * size / out - 0.5
    else:
        x = x * ((size - 1) / (out - 1) if align_corners and out > 1 else size / out)
    places: Coordinates = np.clip(x, 0, size - 1)
    return places


def _mixed(builder: Builder, image: str, row: Coordinates, *, axis: int) -> str:
    """Mix two picked rows for each."""
    below = np.floor(row).astype(int)
    above = np.minimum(below + 1, builder.shape(image)[axis] - 1)
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    share = (row - below).reshape(shape)
    parts = [
        builder.binary("MUL", builder.gather(image, places.tolist(), axis), builder.constant(part))
        for places, part in ((below, 1 - share), (above, share))
    ]
    return builder.binary("ADD", *parts)


HANDLERS: dict[str, Handler] = {"Resize": _resize, "Upsample": _resize}
