"""Find the raw heads of an ONNX detector or segmenter: the last convolutions, before any decode.

By structure, as the names are the exporter's whim. Everything between these convolutions and the
graph's outputs is decode, which the runtime does in the quantised domain.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.decode.anchor_free import AnchorFreeGrid, AnchorFreeHead
from edge.decode.segmentation import SegmentationHead
from edge.decode.yolo import YoloGrid, YoloHead
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from converter.importers.onnx_file import OnnxModel
    from converter.importers.onnx_folding import OnnxNode
    from edge.model.description import HeadSchema

BOX_SIDES = 4
BOX_AND_OBJECTNESS = 5
WITH_ANCHORS, SPLIT, DECOUPLED = 1, 2, 3  # convolutions a grid
# Anchors in a constant: batch, anchor, row, column, width and height.
ANCHOR_AXES = 5
# Of YOLOv5 and v7: centre ``2 sigmoid(t) - 0.5``. Source: yolov5, `models/yolo.py`, `Detect`.
SQUARE_SCALE_XY = 2.0


@dataclass(frozen=True, slots=True)
class OnnxHeads:
    """Where to cut.

    Attributes:
        fetches: Output role to the value that is fetched.
        head: What they mean.
    """

    fetches: dict[str, str]
    head: HeadSchema


def find_yolo(model: OnnxModel, path: Path) -> OnnxHeads:
    """Recognise a YOLO with anchors (v5, v7), or an anchor-free one (X, v6, v8 to v11).

    Raises:
        ModelError: The last convolutions form no such head.
    """
    grids = _grids(model, path)
    counts = {len(convolutions) for convolutions in grids.values()}
    if counts == {WITH_ANCHORS}:
        return _with_anchors(model, grids, path)
    if counts == {SPLIT}:
        return _split(model, grids, path)
    if counts == {DECOUPLED}:
        return _decoupled(model, grids)
    raise _unknown(path, grids)


def find_segmentation(model: OnnxModel, path: Path) -> OnnxHeads:
    """Cut a segmenter before its last Sigmoid, Softmax or ArgMax.

    Raises:
        ModelError: It has several outputs, or one that is no map of classes.
    """
    if len(model.outputs) != 1:
        raise ModelError(
            f"{path}: expected one output, a map of classes, found {', '.join(model.outputs)}; "
            "export the model with that output alone"
        )
    producers = model.producers()
    value = model.outputs[0]
    while value in producers and producers[value].op in ("Sigmoid", "Softmax", "ArgMax"):
        value = producers[value].inputs[0]
    shape = model.shapes.get(value, ())
    if len(shape) != BOX_SIDES:
        raise ModelError(
            f"{path}: expected an output (1, classes, height, width), found {shape or 'no shape'}; "
            "export the model with its map of classes as output"
        )
    head = SegmentationHead(activation="sigmoid" if shape[1] == 1 else "softmax")
    return OnnxHeads({"classes": value}, head)


Grids = dict[tuple[int, int], list["OnnxNode"]]


def _grids(model: OnnxModel, path: Path) -> Grids:
    """Return the last convolutions by (H, W), the finest grid first, each in the graph's order."""
    found = _last_convolutions(model)
    grids: Grids = defaultdict(list)
    for node in model.nodes:
        if node.name in found:
            shape = model.shapes.get(node.outputs[0], ())
            if len(shape) != BOX_SIDES:
                raise ModelError(
                    f"{path}: expected convolution {node.name} to give (1, C, height, width), "
                    f"found {shape or 'no shape'}; export the model with a fixed image size"
                )
            grids[shape[2], shape[3]].append(node)
    if not grids:
        raise _unknown(path, grids)
    return dict(sorted(grids.items(), reverse=True))


def _last_convolutions(model: OnnxModel) -> set[str]:
    producers = model.producers()
    seen: set[str] = set()
    found: set[str] = set()
    waiting = list(model.outputs)
    while waiting:
        value = waiting.pop()
        node = producers.get(value)
        if value in seen or node is None:
            continue
        seen.add(value)
        if node.op == "Conv" and not _is_expectation(model, node):
            found.add(node.name)
        else:
            waiting.extend(node.inputs)
    return found


def _is_expectation(model: OnnxModel, node: OnnxNode) -> bool:
    """Tell the decode's mean over bins, which exporters write as a convolution with 0, 1, 2."""
    weights = model.constants.get(node.inputs[1])
    return (
        weights is not None
        and weights.shape[:1] + weights.shape[2:] == (1, 1, 1)
        and weights.size > 1
        and bool((weights.reshape(-1) == np.arange(weights.size)).all())
    )


def _bins(model: OnnxModel) -> int:
    bins = [
        model.constants[node.inputs[1]].size
        for node in model.nodes
        if node.op == "Conv" and _is_expectation(model, node)
    ]
    return max(bins, default=1)


def _channels(model: OnnxModel, node: OnnxNode) -> int:
    return model.shapes[node.outputs[0]][1]


def _stride_px(model: OnnxModel, size_hw: tuple[int, int]) -> int:
    return model.shapes[model.input][2] // size_hw[0]


def _split(model: OnnxModel, grids: Grids, path: Path) -> OnnxHeads:
    """Read boxes and scores beside each other, as YOLOv6, v8, v9, v10 and v11 have them."""
    bins = _bins(model)
    wanted = BOX_SIDES * bins
    rows: list[Any] = []
    fetches: dict[str, str] = {}
    for number, (size_hw, pair) in enumerate(grids.items()):
        # Where classes are as many as box channels, the box branch is written first.
        boxes = next((node for node in pair if _channels(model, node) == wanted), None)
        if boxes is None:
            raise _unknown(path, grids)
        scores = next(node for node in pair if node is not boxes)
        names = {"boxes": f"boxes{number}", "scores": f"scores{number}"}
        fetches |= {names["boxes"]: boxes.outputs[0], names["scores"]: scores.outputs[0]}
        rows.append(AnchorFreeGrid(**names, stride_px=_stride_px(model, size_hw)))
    head = AnchorFreeHead(
        grids=tuple(rows), boxes="distribution" if bins > 1 else "distances", bins=bins
    )
    return OnnxHeads(fetches, head)


def _decoupled(model: OnnxModel, grids: Grids) -> OnnxHeads:
    """Read boxes, objectness and scores, which YOLOX concatenates in this order."""
    rows: list[Any] = []
    fetches: dict[str, str] = {}
    for number, (size_hw, triple) in enumerate(grids.items()):
        ordered = sorted(triple, key=lambda node: _place(model, node.outputs[0]))
        names = {part: f"{part}{number}" for part in ("boxes", "objectness", "scores")}
        fetches |= {
            role: node.outputs[0] for role, node in zip(names.values(), ordered, strict=True)
        }
        rows.append(AnchorFreeGrid(**names, stride_px=_stride_px(model, size_hw)))
    return OnnxHeads(fetches, AnchorFreeHead(grids=tuple(rows), boxes="center_exp"))


def _place(model: OnnxModel, value: str) -> int:
    """Return where a value stands in the concatenation that it reaches through activations."""
    readers = [node for node in model.nodes if value in node.inputs]
    for node in readers:
        if node.op == "Concat":
            return node.inputs.index(value)
    return next((_place(model, node.outputs[0]) for node in readers), 0)


def _with_anchors(model: OnnxModel, grids: Grids, path: Path) -> OnnxHeads:
    """Read combined grids (YOLOv5, v7), their anchors from the decode's constants."""
    known = _anchors_px(model)
    rows: list[Any] = []
    fetches: dict[str, str] = {}
    for number, (size_hw, nodes) in enumerate(grids.items()):
        anchors = known.get(size_hw)
        if anchors is None or _channels(model, nodes[0]) % len(anchors):
            raise ModelError(
                f"{path}: expected anchors for the grid of {size_hw[0]} x {size_hw[1]} cells in "
                "the decode's constants, found none; export the model with its decode"
            )
        if _channels(model, nodes[0]) // len(anchors) <= BOX_AND_OBJECTNESS:
            raise _unknown(path, grids)
        role = f"grid{number}"
        fetches[role] = nodes[0].outputs[0]
        rows.append(
            YoloGrid(
                boxes=role, objectness=role, scores=role,
                anchors_px=anchors, scale_xy=SQUARE_SCALE_XY,
            )
        )  # fmt: skip
    return OnnxHeads(fetches, YoloHead(grids=tuple(rows), sides="square"))


def _anchors_px(model: OnnxModel) -> dict[tuple[int, int], tuple[tuple[float, float], ...]]:
    """Return the anchors by grid: constants `(1, B, H, W, 2)` that are the same in each cell.

    The cells' own corners have the same shape, but differ from cell to cell.
    """
    found = {}
    for value in model.constants.values():
        if value.ndim != ANCHOR_AXES or value.shape[0] != 1 or value.shape[4] != 2:  # noqa: PLR2004
            continue
        first = value[0, :, 0, 0]  # (B, 2)
        if (value == first[None, :, None, None]).all() and (first > 0).all():
            sides = tuple((float(width), float(height)) for width, height in first)
            found[value.shape[2], value.shape[3]] = sides
    return found


def _unknown(path: Path, grids: Grids | Sequence[object]) -> ModelError:
    shapes = (
        "; ".join(f"{len(nodes)} on {h} x {w} cells" for (h, w), nodes in grids.items())
        if isinstance(grids, dict) and grids
        else "none"
    )
    return ModelError(
        f"{path}: expected a YOLO head, 1 to 3 last convolutions on each grid, found {shapes}; "
        "give a detector of YOLOv5 to v11 or YOLOX"
    )
