"""Which outputs of a bare file are boxes, and of which kind.

What the common YOLO exporter writes into a `.tflite` has been ratios of the input's sides in every
version, but for end-to-end models of its newer, channels-first files, which are pixels; as are its
ONNX files, but for DETRs. Source: `_NormalizeCoords` and the backends of the package ultralytics.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edge.decode.boxes import BOX_SIDES
from edge.decode.centroids import CentroidsHead
from edge.decode.decoded import DecodedHead
from edge.decode.detections import ROW_WIDTH, DetectionsHead
from edge.decode.instance_masks import PrototypeMasksHead
from edge.decode.keypoints import COCO_KEYPOINTS, COCO_SKELETON, KeypointsHead
from edge.model.declared import Reading, class_labels

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edge.model.declared import Declared, Terminal, Told

DETECTION_OP = "TFLite_Detection_PostProcess"
# Of that op, by the place of its output, whatever their order in the graph is: TensorFlow 1 and 2
# export two. Source: detection_postprocess.cc of TensorFlow Lite.
DETECTION_ROLES = ("boxes", "classes", "scores", "count")
DETR = "RTDETRDecoder"  # the exporter's word for a head that needs no suppression
UNITED = (DecodedHead, DetectionsHead)
ROW_AXES, MAP_AXES = 3, 4  # (1, N, width), (1, H, W, C)
# Of the grids that YOLO's joint outputs list, without and with a fourth for large images.
STRIDES_PX = ((8, 16, 32), (8, 16, 32, 64))
MAX_POINTS = 1000  # of a box: as many as `KeypointsHead` has names for
ANCHORS = 3  # a cell, of v5 and v7
WHITE = (255.0,) * 3
UNITS = '"ratios" (0 to 1, as Ultralytics writes .tflite) or "pixels"'
LABELS = "{count} labels; with fewer, keypoints or mask coefficients stand behind the scores"
ROWS_KIND = '"detections" if a row is x1, y1, x2, y2, score, class'
CENTROIDS_KIND = '"centroids" if each coarse cell says what stands there, as FOMO does'


def of_detections(model: Declared) -> Iterator[Reading]:
    """Read what an op or a graph detected and suppressed itself."""
    if model.outputs and all(one.made_by == DETECTION_OP for one in model.outputs):
        yield from _of_the_op(model)
    output = model.only_output()
    if output is not None and model.told.task in ("", "detect"):
        yield from _rows(model, output)


def _rows(model: Declared, output: Terminal, *, behind: int = 0) -> Iterator[Reading]:
    """Read rows of box, score, class, and so many numbers behind them."""
    shape, told = output.shape, model.told
    if len(shape) != ROW_AXES or shape[0] != 1 or shape[2] != ROW_WIDTH + behind:
        return
    if _is_grid(model, rows=shape[1]) or (told.facts and not _is_end_to_end(told)):
        return
    unknown = {}
    if not told.facts:
        unknown = {"head.kind": ROWS_KIND, "head.units": UNITS}
    elif model.channels_first and not (model.is_onnx or told.facts.get("end2end")):
        unknown = {"head.units": UNITS}
    yield Reading(
        DetectionsHead(boxes="xyxy", units="pixels" if model.channels_first else "ratios"),
        {"rows": output.name},
        f"the output is {shape[1]} rows of box, score and class",
        classes=len(told.labels) or None,
        resize="letterbox",
        unknown=unknown,
    )


def _of_the_op(model: Declared) -> Iterator[Reading]:
    roles = {one.place: one.name for one in model.outputs}
    outputs = {
        DETECTION_ROLES[place]: name
        for place, name in roles.items()
        if place < len(DETECTION_ROLES)
    }
    if len(outputs) == len(model.outputs) and {"boxes", "scores", "classes"} <= outputs.keys():
        yield Reading(
            DetectionsHead(boxes="yxyx", units="ratios"),
            outputs,
            f"the outputs are those of the op {DETECTION_OP}",
            classes=int(model.outputs[0].options.get("num_classes", 0)) or None,
            color="rgb",
        )


def of_decoded(model: Declared) -> Iterator[Reading]:
    """Read `(1, 4 + C, N)` or `(1, N, 5 + C)` as boxes with the scores of C classes.

    Without an exporter's word N must be the cells of a YOLO's grids, and the units are asked for.
    """
    output, told = model.only_output(), model.told
    if output is not None and told.task in ("", "detect") and not _is_end_to_end(told):
        yield from (_columns if told.facts else _bare_columns)(model, output)


def _columns(model: Declared, output: Terminal, *, behind: int = 0) -> Iterator[Reading]:
    """Read what the exporter says are boxes, and so many numbers behind each."""
    shape, facts, classes = output.shape, model.told.facts, len(model.told.labels)
    is_detr = facts.get("head") == DETR
    # An integer accelerator's ONNX file has ratios, and does not say that it is one.
    unknown = {"head.units": UNITS} if model.is_onnx and _argument(model.told, "quantize") else {}
    for axis in (1, 2) if len(shape) == ROW_AXES and shape[0] == 1 else ():
        objectness = shape[axis] - behind - classes - BOX_SIDES  # 1 in v5 and v7
        if objectness in (0, 1):
            yield Reading(
                DecodedHead(
                    units="pixels" if model.is_onnx and not is_detr else "ratios",
                    objectness=bool(objectness),
                    suppressed=is_detr,
                ),
                {"rows": output.name},
                f"the output is {shape[3 - axis]} boxes with the scores of {classes} classes",
                classes=classes,
                resize="letterbox",
                unknown=unknown,
            )


def _bare_columns(model: Declared, output: Terminal) -> Iterator[Reading]:
    """Read what only its shape says: columns of v8 and later, or rows of v5 and v7."""
    shape = output.shape
    for axis, anchors in ((1, 1), (2, ANCHORS)) if len(shape) == ROW_AXES else ():
        classes = shape[axis] - BOX_SIDES - (axis == 2)  # noqa: PLR2004 - the objectness of rows
        if shape[0] == 1 and classes > 0 and _is_grid(model, rows=shape[3 - axis], anchors=anchors):
            yield Reading(
                DecodedHead(objectness=axis == 2),  # noqa: PLR2004
                {"rows": output.name},
                f"the output is {shape[3 - axis]} boxes with the scores of {classes} classes",
                classes=classes,
                color="rgb",
                mean=(0.0, 0.0, 0.0),
                std=WHITE,
                resize="letterbox",
                unknown={"head.units": UNITS, "model.labels": LABELS.format(count=classes)},
            )


def of_masks(model: Declared) -> Iterator[Reading]:
    """Read the exporter's boxes with coefficients behind them, and the prototypes."""
    joint = [one for one in model.outputs if len(one.shape) == ROW_AXES]
    prototypes = [one for one in model.outputs if len(one.shape) == MAP_AXES]
    if model.told.task != "segment" or (len(joint), len(prototypes)) != (1, 1):
        return
    first = model.channels_first
    count = prototypes[0].shape[1 if first else 3]
    for boxes in _joint(model, joint[0], behind=count):
        yield replace(
            boxes,
            head=PrototypeMasksHead(boxes=boxes.head, channels_first=first),
            outputs=boxes.outputs | {"prototypes": prototypes[0].name},
            why=f"{boxes.why}, beside {count} prototypes",
            unknown=_of_boxes(boxes.unknown),
        )


def of_keypoints(model: Declared) -> Iterator[Reading]:
    """Read the exporter's boxes with keypoints behind them, in the boxes' units."""
    output, facts = model.only_output(), model.told.facts
    sides = facts.get("kpt_shape")
    if model.told.task != "pose" or output is None or sides is None or not _are_counts(sides):
        return
    count, width = sides
    for boxes in _joint(model, output, behind=count * width):
        names = COCO_KEYPOINTS if count == len(COCO_KEYPOINTS) else class_labels(count, "point")
        yield replace(
            boxes,
            head=KeypointsHead(
                boxes=boxes.head,
                names=names,
                units=boxes.head.units if isinstance(boxes.head, UNITED) else "ratios",
                scored=width > 2,  # noqa: PLR2004
                activation="none",
                skeleton=COCO_SKELETON if names is COCO_KEYPOINTS else (),
            ),
            why=f"{boxes.why}, with {count} points",
            unknown={**boxes.unknown, **_of_boxes(boxes.unknown)},
        )


def _are_counts(sides: Any) -> bool:  # noqa: ANN401 - what stands in a file
    """Whether they are the number of points and 2 or 3, with a score, of each."""
    is_pair = isinstance(sides, (list, tuple)) and len(sides) == 2  # noqa: PLR2004
    return (
        is_pair
        and all(isinstance(side, int) for side in sides)
        and (0 < sides[0] <= MAX_POINTS and sides[1] in (2, 3))
    )


def _of_boxes(unknown: Mapping[str, str]) -> dict[str, str]:
    """Return what is unknown of a head as that of the boxes within another."""
    return {key.replace("head.", "head.boxes."): choice for key, choice in unknown.items()}


def _joint(model: Declared, output: Terminal, *, behind: int) -> Iterator[Reading]:
    """Read the boxes of an exporter's task that has more to say of each."""
    read = _rows if _is_end_to_end(model.told) else _columns
    return read(model, output, behind=behind)


def of_centroids(model: Declared) -> Iterator[Reading]:
    """Read a coarse softmax by cell as where objects stand; a coarse class map looks the same."""
    output, image = model.only_output(), model.image_shape
    if output is None or image is None or model.told.facts or len(output.shape) != MAP_AXES:
        return
    _, rows, columns, channels = output.shape
    if output.made_by == "SOFTMAX" and output.made_shape == output.shape and rows < image[0]:
        yield Reading(
            CentroidsHead(),
            {"cells": output.name},
            f"the output is a softmax in each of {columns} x {rows} coarse cells",
            classes=channels - 1,
            unknown={"head.kind": CENTROIDS_KIND},
        )


def _is_end_to_end(told: Told) -> bool:
    return bool(told.facts.get("end2end") or _argument(told, "nms"))


def _argument(told: Told, name: str) -> Any:  # noqa: ANN401 - what stands in a file
    """Return what the exporter was called with; `None` where that is not told."""
    arguments = told.facts.get("args")
    return arguments.get(name) if isinstance(arguments, dict) else None


def _is_grid(model: Declared, rows: int, anchors: int = 1) -> bool:
    """Whether there are as many rows as a YOLO's grids have boxes."""
    sides = (model.image_shape or (0, 0, 0))[:2]
    cells = [
        [math.prod(math.ceil(side / px) for side in sides) for px in each] for each in STRIDES_PX
    ]
    return rows in [anchors * sum(each) for each in cells]
