"""YOLO with something beside its boxes: coefficients of masks (YOLO-seg), or points (YOLO-pose)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from converter.importers.heads.decoding import Beside, sigmoid
from converter.importers.heads.fields import BOX_AND_OBJECTNESS
from converter.importers.heads.raw import NHWC
from converter.importers.heads.yolo import DECOUPLED, MIN_BINS, found_at, read_yolo
from edge.decode.boxes import BOX_SIDES
from edge.decode.instance_masks import PrototypeMasksHead
from edge.decode.keypoints import COCO_KEYPOINTS, COCO_SKELETON, KeypointsHead, numbered_points
from edge.errors import ModelError
from edge.results.poses import POINT

if TYPE_CHECKING:
    from pathlib import Path

    from converter.choice import Choice
    from converter.draft import Draft
    from converter.graph.values import Graph
    from converter.importers.heads.decoding import Answers
    from converter.importers.heads.fields import Fields

TOLERANCE, TOLERANCE_PX = 1e-3, 0.02
# Fewer channels are an angle or a score.
LEAST_POINTS = 2
# Of a point, raw to cells, from the cell's corner. Source: `Pose.kpts_decode` of Ultralytics'
# `nn/modules/head.py`: (raw * 2 + column) * stride.
SCALE = 2.0


def find_masks(graph: Graph, path: Path, choice: Choice) -> Draft:
    """Return a YOLO-seg up to its raw grids, with the coefficients of each box, and prototypes.

    Raises:
        ConfigError: Anchors are not said, or others.
        ModelError: There are no prototypes, no coefficients for them, or the decode is not known.
    """
    name = prototypes_of(graph)
    if name is None:
        found = ", ".join(f"{output} {graph.shape(output)}" for output in graph.outputs)
        raise ModelError(
            f"{path}: expected one output of prototypes, (1, rows, columns, P), beside that of the "
            f"boxes, found {found}; export the model as its own exporter does"
        )
    width = graph.shape(name)[3]
    beside = Beside(
        "coefficients", lambda count: count == width, lambda _, told: _coefficients(told)
    )
    rest = replace(graph, outputs=tuple(output for output in graph.outputs if output != name))
    fields, decode = read_yolo(rest, path, choice, beside=beside)
    draft = found_at(graph, fields, decode, others={"prototypes": name})
    roles = _roles(draft, fields, beside, path=path)
    head = PrototypeMasksHead(boxes=draft.head, coefficients=roles)
    return replace(draft, head=head)


def find_points(graph: Graph, path: Path, choice: Choice) -> Draft:
    """Return a YOLO-pose up to its raw grids, with the points of each box.

    Raises:
        ModelError: There are no points, or the decode is not known.
    """
    beside = Beside("keypoints", lambda channels: bool(_counts(channels)), _points)
    fields, decode = read_yolo(graph, path, choice, beside=beside)
    draft = found_at(graph, fields, decode)
    count, is_scored = decode.beside
    is_coco = count == len(COCO_KEYPOINTS)
    names = COCO_KEYPOINTS if is_coco else numbered_points(count)
    head = KeypointsHead(
        boxes=draft.head,
        names=names,
        keypoints=_roles(draft, fields, beside, path=path),
        scale=SCALE,
        scored=is_scored,
        skeleton=COCO_SKELETON if is_coco else (),
    )
    said = f"its {count} keypoints have no names; they are called point 1 to point {count}"
    return replace(draft, head=head, warnings=() if is_coco else (said,))


def prototypes_of(graph: Graph) -> str | None:
    """Return the one output that may be prototypes: a map beside rows of boxes."""
    shapes = {name: graph.shape(name) for name in graph.outputs}
    maps = [name for name, shape in shapes.items() if len(shape) == NHWC and min(shape[1:3]) > 1]
    return maps[0] if len(maps) == 1 and len(shapes) > 1 else None


def told_of_beside(graph: Graph, raws: tuple[str, ...]) -> tuple[str, str] | None:
    """Tell YOLO-seg and YOLO-pose by what stands on each grid beside boxes and scores."""
    prototypes = prototypes_of(graph)
    finest = graph.shape(prototypes)[1:3] if prototypes else ()
    grids: dict[tuple[int, ...], list[int]] = {}
    for name in raws:
        *_, height, width, channels = graph.shape(name)
        if (height, width) != finest:
            grids.setdefault((height, width), []).append(channels)
    if not grids or len({len(channels) for channels in grids.values()}) > 1:
        return None
    shared = set.intersection(*map(set, grids.values()))
    each = len(next(iter(grids.values())))
    if prototypes:
        width = graph.shape(prototypes)[3]
        is_joint = each == 1 and all(c > width + BOX_AND_OBJECTNESS for c in shared)
        if (each == DECOUPLED and width in shared) or (is_joint and shared):
            return "yolo-seg", f"{width} prototypes, and a coefficient of each for every box"
        return None
    if {1, BOX_SIDES} <= shared:  # YOLOX
        return None
    boxes = {c for c in shared if c % BOX_SIDES == 0 and c >= BOX_SIDES * MIN_BINS}
    if each == DECOUPLED and boxes and any(_counts(c) for c in shared - {min(boxes)}):
        return "yolo-pose", "each grid has convolutions for boxes, scores and points"
    return None


def _roles(draft: Draft, fields: Fields, beside: Beside, *, path: Path) -> tuple[str, ...]:
    roles = tuple(f"{beside.kind}{number}" for number in range(len(fields.parts)))
    if not set(roles) <= set(draft.graph.outputs):
        raise ModelError(
            f"{path}: expected {beside.kind} from convolutions whose weights are constant, found "
            f"others; export the model again"
        )
    return roles


def _coefficients(answers: Answers) -> Literal[True] | None:
    """Return whether a tail gives the coefficients on as they are."""
    raw = answers.noise["coefficients"]
    windows = answers.windows(raw.shape[1])
    return True if any(np.allclose(noisy, raw, atol=TOLERANCE) for _, noisy in windows) else None


def _counts(channels: int) -> list[tuple[int, bool]]:
    """Return how many points so many channels may be, and whether each has a score."""
    return [
        (channels // numbers, numbers == POINT)
        for numbers in (POINT, POINT - 1)
        if channels % numbers == 0 and channels // numbers >= LEAST_POINTS
    ]


def _points(fields: Fields, answers: Answers) -> tuple[int, bool] | None:
    """Return how many points a tail gives and whether they have scores, by their formula."""
    raw = answers.noise["keypoints"]
    cells, stride = np.split(fields.geometry(), 2, axis=1)  # (R, 2) each
    for count, is_scored in _counts(raw.shape[1]):
        values = raw.reshape(len(raw), count, -1)
        places = (values[..., :2] * SCALE + cells[:, None]) * stride[:, None]
        for unit in (np.ones(2), 1 / np.array(fields.input_wh)):
            wanted: Any = places * unit
            if is_scored:
                wanted = np.concatenate([wanted, sigmoid(values[..., 2:])], axis=2)
            tolerance = TOLERANCE_PX if math.isclose(unit[0], 1) else TOLERANCE
            for _, noisy in answers.windows(raw.shape[1]):
                if np.allclose(noisy, wanted.reshape(len(raw), -1), atol=tolerance):
                    return count, is_scored
    return None
