"""How far the outputs of a model are from a teacher's, weighted as its head is read.

Plain error is a poor proxy: most of what a detector puts out says that nothing is there. Scores
count where either of the two sees something, boxes where the teacher does, and sums are over what
the teacher sees, so that "nothing there" does not drown it. The form of the weights follows Li et
al. 2020, "Generalized Focal Loss", section 3.2; for boxes, Chen et al. 2017, "Learning Efficient
Object Detection Models with Knowledge Distillation", section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras import ops

from converter.prune.columns import grids
from edge.decode.segmentation import SegmentationHead

if TYPE_CHECKING:
    from collections.abc import Mapping

    from converter.prune.columns import Grid, Part
    from edge.model.description import Description, HeadSchema

    Tensors = Mapping[str, Any]

# Raw box units between the square and the absolute value of the error: a tenth of a side.
HUBER = 0.1
# Probabilities that a graph made itself are kept off 0 and 1 by this.
EDGE = 1e-6


def _rows(part: Part, tensors: Tensors) -> Any:  # noqa: ANN401 - a tensor of whichever backend
    """Return the part, `(batch, rows, columns)`."""
    value = tensors[part.name]
    flat = ops.reshape(value, (ops.shape(value)[0], -1, part.width))
    return flat[..., part.start : part.stop]


def _losses(grid: Grid, found: Tensors, wanted: Tensors) -> dict[str, Any]:
    """Return the losses of a batch by name."""
    scores, truth = (_logits(_rows(grid.scores, row), grid.scores_are) for row in (found, wanted))
    if grid.objectness is None:
        weights = _either(truth, scores)
        seen = ops.max(ops.sigmoid(truth), axis=-1, keepdims=True)
        count = 1 + ops.sum(seen)
        made = {"scores": ops.sum(weights * divergence(truth, scores)) / count}
    else:
        there, is_there = (_rows(grid.objectness, row) for row in (found, wanted))
        seen = ops.sigmoid(is_there) * ops.max(ops.sigmoid(truth), axis=-1, keepdims=True)
        count, weights = 1 + ops.sum(seen), _either(is_there, there)
        made = {
            "objectness": ops.sum(weights * divergence(is_there, there)) / count,
            "scores": ops.sum(weights * divergence(truth, scores)) / count,
        }
    scales = ops.convert_to_tensor(grid.box_scales, dtype="float32")
    off = ops.abs(_rows(grid.boxes, found) - _rows(grid.boxes, wanted)) / scales
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
        for name, value in _losses(grid, found, wanted).items():
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
