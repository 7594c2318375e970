"""How far the outputs of a model are from a teacher's, weighted as its head is read.

Plain error is a poor proxy: most of what a detector puts out says that nothing is there. Scores
count where either of the two sees something, boxes where the teacher does, and sums are over what
the teacher sees, so that "nothing there" does not drown it. The form of the weights follows Li et
al. 2020, "Generalized Focal Loss", section 3.2; for boxes, Chen et al. 2017, "Learning Efficient
Object Detection Models with Knowledge Distillation", section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keras import ops

from edge.decode.anchor_free import AnchorFreeHead
from edge.decode.segmentation import SegmentationHead
from edge.decode.ssd import SsdHead
from edge.decode.yolo import COMBINED_CLASSES, YoloHead

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.model.description import Description, HeadSchema

    Tensors = Mapping[str, Any]

BOX = 4
# Raw box units between the square and the absolute value of the error: a tenth of a side.
HUBER = 0.1
# Probabilities that a graph made itself are kept off 0 and 1 by this.
EDGE = 1e-6


@dataclass(frozen=True, slots=True)
class Part:
    """Some columns of an output, a row an anchor or cell.

    Attributes:
        name: Of the tensor.
        width: Columns of a row.
        start: First of the part.
        stop: Behind its last.
    """

    name: str
    width: int
    start: int
    stop: int

    def rows(self, tensors: Tensors) -> Any:  # noqa: ANN401 - a tensor of whichever backend
        """Return the part, `(batch, rows, columns)`."""
        value = tensors[self.name]
        flat = ops.reshape(value, (ops.shape(value)[0], -1, self.width))
        return flat[..., self.start : self.stop]


@dataclass(frozen=True, slots=True)
class Grid:
    """Boxes, their scores, and what both are multiplied by; raw, but for scores of `none`."""

    boxes: Part
    scores: Part
    objectness: Part | None = None
    box_scales: tuple[float, ...] = (1.0,)
    scores_are: str = "sigmoid"

    def parts(self, found: Tensors, wanted: Tensors) -> dict[str, Any]:
        """Return the losses of a batch by name."""
        scores, truth = (_logits(self.scores.rows(row), self.scores_are) for row in (found, wanted))
        if self.objectness is None:
            weights = _either(truth, scores)
            seen = ops.max(ops.sigmoid(truth), axis=-1, keepdims=True)
            count = 1 + ops.sum(seen)
            made = {"scores": ops.sum(weights * divergence(truth, scores)) / count}
        else:
            there, is_there = (self.objectness.rows(row) for row in (found, wanted))
            seen = ops.sigmoid(is_there) * ops.max(ops.sigmoid(truth), axis=-1, keepdims=True)
            count, weights = 1 + ops.sum(seen), _either(is_there, there)
            made = {
                "objectness": ops.sum(weights * divergence(is_there, there)) / count,
                "scores": ops.sum(weights * divergence(truth, scores)) / count,
            }
        scales = ops.convert_to_tensor(self.box_scales, dtype="float32")
        off = ops.abs(self.boxes.rows(found) - self.boxes.rows(wanted)) / scales
        far = ops.where(off < HUBER, off * off / (2 * HUBER), off - HUBER / 2)
        return {**made, "boxes": ops.sum(seen * far) / count}


def divergence(truth: Any, found: Any) -> Any:  # noqa: ANN401 - tensors
    """Return the Kullback-Leibler divergence of two sigmoids, number by number, of their logits."""
    chance = ops.sigmoid(truth)
    return chance * (ops.softplus(-found) - ops.softplus(-truth)) + (1 - chance) * (
        ops.softplus(found) - ops.softplus(truth)
    )


def _either(truth: Any, found: Any) -> Any:  # noqa: ANN401
    """Return how sure the surer of two is, without a gradient."""
    return ops.stop_gradient(ops.maximum(ops.sigmoid(truth), ops.sigmoid(found)))


def _logits(value: Any, are: str) -> Any:  # noqa: ANN401
    if are == "sigmoid":
        return value
    chance = ops.softmax(value) if are == "softmax" else value
    chance = ops.clip(chance, EDGE, 1 - EDGE)
    return ops.log(chance) - ops.log(1 - chance)


def parts(described: Description, found: Tensors, wanted: Tensors) -> dict[str, Any]:
    """Return the losses of a batch by name, each a number; outputs without a grid count plainly.

    Args:
        described: Of the teacher.
        found: Outputs by tensor name.
        wanted: The teacher's.
    """
    made: dict[str, Any] = {}
    covered: set[str] = set()
    for grid in grids(described):
        covered.update(part.name for part in (grid.boxes, grid.scores, grid.objectness) if part)
        for name, value in grid.parts(found, wanted).items():
            made[name] = made.get(name, 0.0) + value
    for name in described.outputs.values():
        if name not in covered:
            value = _plain(described.head, found[name], wanted[name])
            made["outputs"] = made.get("outputs", 0.0) + value
    return made


def _plain(head: HeadSchema, found: Any, wanted: Any) -> Any:  # noqa: ANN401
    """Return what one output is off: of classes their divergence, else the error over the power."""
    are = getattr(head, "activation", None)
    if are == "sigmoid" and isinstance(head, SegmentationHead):
        return ops.mean(divergence(wanted, found))
    if are == "softmax":
        chance = ops.softmax(wanted)
        both = ops.log_softmax(wanted) - ops.log_softmax(found)
        return ops.mean(ops.sum(chance * both, axis=-1))
    return relative_error(found, wanted)


def relative_error(found: Any, wanted: Any) -> Any:  # noqa: ANN401
    """Return the mean squared error over the variance of what is wanted."""
    return ops.mean(ops.square(found - wanted)) / (ops.var(wanted) + EDGE)


def grids(described: Description) -> list[Grid]:
    """Return the grids of a detector with raw boxes; none of any other head."""
    head, names, count = described.head, described.outputs, len(described.labels)
    if isinstance(head, SsdHead):
        first = int(head.background)
        scores = Part(names["scores"], count + first, first, count + first)
        boxes = Part(names["boxes"], BOX, 0, BOX)
        return [Grid(boxes, scores, None, head.box_scales, head.activation)]
    if isinstance(head, YoloHead):
        return [_yolo_grid(grid, names, count, classes=head.classes) for grid in head.grids]
    if isinstance(head, AnchorFreeHead):
        sides = BOX * head.bins
        return [
            Grid(
                Part(names[grid.boxes], sides, 0, sides),
                Part(names[grid.scores], count, 0, count),
                Part(names[grid.objectness], 1, 0, 1) if grid.objectness else None,
            )
            for grid in head.grids
        ]
    return []


def _yolo_grid(grid: Any, names: Mapping[str, str], count: int, *, classes: str) -> Grid:  # noqa: ANN401
    roles = (grid.boxes, grid.objectness, grid.scores)
    ends = (0, BOX, COMBINED_CLASSES, COMBINED_CLASSES + count)
    is_one = len(set(roles)) == 1
    rows = [
        Part(names[role], ends[-1], start, stop) if is_one
        else Part(names[role], stop - start, 0, stop - start)
        for role, start, stop in zip(roles, ends, ends[1:], strict=False)
    ]  # fmt: skip
    boxes, objectness, scores = rows
    return Grid(boxes, scores, objectness, scores_are=classes)
