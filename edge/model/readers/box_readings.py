"""Which outputs of a bare file are boxes, and of which kind.

What the common YOLO exporter writes has been ratios of the input's sides in every version, but for
end-to-end models of its newer, channels-first files, which are pixels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edge.decode.boxes import BOX_SIDES
from edge.decode.centroids import CentroidsHead
from edge.decode.decoded import DecodedHead
from edge.decode.detections import ROW_WIDTH, DetectionsHead
from edge.model.declared import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.decode.detections import Units
    from edge.model.declared import Declared, Told

DETECTION_OP = "TFLite_Detection_PostProcess"
# Of that op, by the place of its output, whatever their order in the graph is: TensorFlow 1 and 2
# export two. Source: detection_postprocess.cc of TensorFlow Lite.
DETECTION_ROLES = ("boxes", "classes", "scores", "count")
DETR = "RTDETRDecoder"  # the exporter's word for a head that needs no suppression
ROW_AXES, MAP_AXES = 3, 4  # (1, N, width), (1, H, W, C)
# Of the grids that YOLO's joint outputs list, without and with a fourth for large images.
STRIDES_PX = ((8, 16, 32), (8, 16, 32, 64))
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
    output, told = model.only_output(), model.told
    if output is None or told.task not in ("", "detect"):
        return
    shape = output.shape
    if len(shape) != ROW_AXES or shape[0] != 1 or shape[2] != ROW_WIDTH or _is_grid(model):
        return
    units: Units = "pixels" if model.channels_first else "ratios"
    unknown = {}
    if not _is_end_to_end(told):
        unknown = {"head.kind": ROWS_KIND, "head.units": UNITS}
    elif model.channels_first and not told.facts.get("end2end"):
        unknown = {"head.units": UNITS}
    if not told.facts or _is_end_to_end(told):
        yield Reading(
            DetectionsHead(boxes="xyxy", units=units),
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
    if output is None or len(output.shape) != ROW_AXES or output.shape[0] != 1:
        return
    if told.task not in ("", "detect") or _is_end_to_end(told):
        return
    for axis, rows in ((1, output.shape[2]), (2, output.shape[1])):
        width = output.shape[axis]
        # Rows come with the objectness of v5 and v7, columns without, as v8 and later.
        objectness = axis == 2  # noqa: PLR2004 - the last axis
        if told.facts:
            objectness = width == BOX_SIDES + 1 + len(told.labels)
        classes = width - BOX_SIDES - objectness
        fits = (
            classes == len(told.labels)
            if told.facts
            else _is_grid(model, rows=rows, anchors=ANCHORS if objectness else 1)
        )
        if classes < 1 or not fits:
            continue
        yield Reading(
            DecodedHead(
                boxes="cxcywh",
                units="ratios",
                objectness=objectness,
                suppressed=told.facts.get("head") == DETR,
            ),
            {"rows": output.name},
            f"the output is {rows} boxes with the scores of {classes} classes",
            classes=classes,
            color="rgb",
            mean=(0.0, 0.0, 0.0),
            std=WHITE,
            resize="letterbox",
            unknown={}
            if told.facts
            else {"head.units": UNITS, "model.labels": LABELS.format(count=classes)},
        )


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
    arguments = told.facts.get("args")
    nms = arguments.get("nms") if isinstance(arguments, dict) else None
    return bool(told.facts.get("end2end") or nms)


def _is_grid(model: Declared, rows: int = 0, anchors: int = 1) -> bool:
    """Whether there are as many rows as a YOLO's grids have boxes."""
    image = model.image_shape
    rows = rows or model.outputs[0].shape[1]
    return image is not None and any(
        rows
        == anchors * sum(math.prod(math.ceil(side / px) for side in image[:2]) for px in strides)
        for strides in STRIDES_PX
    )
