"""The head `keypoints`: boxes of any kind, each with K points (YOLO-pose).

Source: Maji et al. 2022, "YOLO-Pose", section 3; the points of a grid as the common exporter has
them: ``(raw * 2 + column) * stride``, the score a sigmoid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from msgspec import Meta

from edge.decode.box_heads import AnyBoxHead
from edge.decode.boxes import clamp_inplace
from edge.decode.checks import Misfit
from edge.decode.per_box import BoxRows, describe_boxes
from edge.decode.scores import sigmoid_inplace
from edge.model.description import HeadSchema
from edge.record import Finite, PositiveFloat, Text
from edge.results.poses import POINT, Poses

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.frame import Placement, StageClock
    from edge.model.description import Thresholds
    from edge.model.spec import ModelSpec, Tensors

GRID_AXES = 4  # (1, H, W, channels)
# No input is so many pixels wide: only a damaged float output says more.
MAX_PX = 2.0**20
# Source: COCO 2017, `person_keypoints`, the category's `keypoints` and `skeleton`, from 0.
COCO_KEYPOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee",
    "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
COCO_SKELETON = (
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8),
    (7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
)  # fmt: skip


def numbered_points(count: int) -> tuple[str, ...]:
    """Return the names of points that have none of their own."""
    return tuple(f"point {number}" for number in range(1, count + 1))


class KeypointsHead(HeadSchema, frozen=True, kw_only=True, tag="keypoints"):
    """Boxes, each with K points side by side: x, y, and a score where `scored` says so.

    Attributes:
        boxes: What the boxes are; a head for itself.
        names: Of the K points, in their order.
        keypoints: Output roles, `(1, H, W, K * 3)`, one for each grid of the boxes, in their order.
            None where they are the last channels of the boxes' only output, `(1, 4 + C + K * 3, N)`
            or `(1, N, 4 + C + K * 3)`.
        units: Of a point: `pixels` of the input, or `ratios`, shares of its sides; `cells`, raw:
            it stands at raw * `scale` + the cell's column or row + `offset`, in cells.
        scale: Of `cells`: 2 in v8 and v11.
        offset: Of `cells`: from the cell's upper left corner.
        scored: A point has a third value; else 1 is its score.
        activation: What the score is: raw (`sigmoid`), or in [0, 1] as the graph made it (`none`).
        skeleton: Pairs of numbers of points that a line connects, in drawings.
    """

    boxes: AnyBoxHead
    names: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=1000)]
    keypoints: tuple[str, ...] = ()
    units: Literal["cells", "pixels", "ratios"] = "cells"
    scale: PositiveFloat = 2.0
    offset: Finite = 0.0
    scored: bool = True
    activation: Literal["sigmoid", "none"] = "sigmoid"
    skeleton: tuple[tuple[int, int], ...] = ()

    @property
    def width(self) -> int:
        """Raw values of a box's points."""
        return len(self.names) * (POINT if self.scored else POINT - 1)


def check(spec: ModelSpec) -> None:
    """Compare the head with the outputs and the labels.

    Raises:
        Misfit: They disagree.
    """
    _point_rows(spec, spec.description.thresholds())
    head = spec.description.head_as(KeypointsHead)
    for role in head.keypoints:
        if head.units == "cells" and len(spec.outputs[role].shape) != GRID_AXES:
            raise Misfit(
                f"output {role} is {spec.outputs[role].shape}, but points in cells need the cells' "
                f"rows and columns, (1, rows, columns, {head.width})"
            )
    if head.units == "cells" and not head.keypoints:
        raise Misfit(
            "points behind their boxes stand in no cells; say units pixels or ratios, or name the "
            "outputs that have them"
        )
    count = len(head.names)
    for pair in head.skeleton:
        if not all(0 <= point < count for point in pair):
            raise Misfit(f"the skeleton connects {pair}, but there are points 0 to {count - 1}")


def _point_rows(spec: ModelSpec, thresholds: Thresholds) -> BoxRows:
    head = spec.description.head_as(KeypointsHead)
    return BoxRows(spec, head.boxes, head.keypoints, width=head.width, thresholds=thresholds)


def describe(spec: ModelSpec) -> list[tuple[str, str]]:
    """Return what `edge inspect` says of the head."""
    head = spec.description.head_as(KeypointsHead)
    place = ", ".join(head.keypoints) or "behind the boxes"
    text = f"keypoints, {len(head.names)} a box in {place}, {head.units}"
    return [("head", text), *describe_boxes(spec, head.boxes, head.keypoints)]


class KeypointsDecoder:
    """Decodes boxes and the points of those that are left.

    Args:
        spec: The model; its head is a `KeypointsHead`.
        thresholds: Of the boxes.
    """

    def __init__(self, spec: ModelSpec, thresholds: Thresholds) -> None:
        self._head = spec.description.head_as(KeypointsHead)
        self._rows = _point_rows(spec, thresholds)
        self._input_wh = np.array(spec.description.input.size_wh, np.float64)
        self._grids = [
            (first, spec.outputs[role].shape[1:3], end - first)
            for role, first, end in zip(
                self._head.keypoints, self._rows.bounds, self._rows.bounds[1:], strict=False
            )
        ]

    def decode(self, tensors: Tensors, placement: Placement, clock: StageClock) -> Poses:
        """Return what one frame shows; points are decoded after the suppression."""
        seen, rows = self._rows.decode(tensors, placement, clock)
        count = len(self._head.names)
        raw = rows.reshape(len(seen), count, self._head.width // count)  # (N, K, 2 or 3)
        points = np.ones((*raw.shape[:2], POINT), np.float32)
        with np.errstate(invalid="ignore", over="ignore"):  # of damaged float outputs
            places = self._input_px(raw[..., :2].astype(np.float64), len(seen))
            clamp_inplace(places, MAX_PX)
            places -= placement.offset_xy
            places *= np.divide(placement.source_wh, placement.region_wh)
            points[..., :2] = places
            if self._head.scored:
                points[..., 2] = self._scores(raw[..., 2])
        clock.lap("decode")
        return Poses.of(seen, points)

    def _input_px(self, places: NDArray[np.float64], count: int) -> NDArray[np.float64]:
        """Return where points `(N, K, 2)` stand, in input pixels."""
        if self._head.units == "pixels":
            return places
        if self._head.units == "ratios":
            return places * self._input_wh
        cells = self._rows.cells(count)
        places *= self._head.scale
        places += self._head.offset
        for first, (rows, columns), boxes in self._grids:
            own = ((cells >= first) & (cells < first + boxes)).nonzero()[0]
            # Boxes of one cell stand side by side.
            at = (cells[own] - first) // (boxes // (rows * columns))
            places[own] += np.stack([at % columns, at // columns], axis=-1)[:, None]
            places[own] *= self._input_wh / (columns, rows)
        return places

    def _scores(self, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = np.array(raw)
        if self._head.activation == "sigmoid":
            sigmoid_inplace(scores)
        np.clip(scores, 0, 1, out=scores)
        return scores
