"""What is minimised for each kind of head: what labels become, and the loss of a batch of them.

`for_task` gives both for any model with a description: our own nets, and imported ones that get
labels after pruning. Losses are in `keras.ops`; targets are NumPy, made beside the training.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from converter.train.matching import Labels, fitted_mask, matched, yolo_cells
from converter.train.yolo_loss import binary, yolo
from edge.decode.anomaly import AnomalyHead
from edge.decode.classes import ClassesHead
from edge.decode.segmentation import SegmentationHead
from edge.decode.ssd import SsdHead
from edge.decode.yolo import YoloHead
from edge.errors import ModelError
from edge.heads import HEADS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from edge.model.description import Description

    Targets = dict[str, NDArray[Any]]

# Source: Liu et al. 2016, section 2.2: hard negatives at most 3 to 1.
NEGATIVES = 3
# Of an image without any object, so that it teaches as well.
LEAST_NEGATIVES = 10
# Source: Szegedy et al. 2016, "Rethinking the Inception Architecture", section 7.
SMOOTHING = 0.1
TINY = 1e-7
VOID = 255  # of masks: judged by nobody


@dataclass(frozen=True)
class Objective:
    """How a model of some head learns.

    Attributes:
        targets: Of one image's labels, arrays that a batch stacks.
        loss: Of the model's outputs and a batch: the total, and its parts by name.
    """

    targets: Callable[[Labels], Targets]
    loss: Callable[[Any, Any], tuple[Any, dict[str, Any]]]


def for_task(description: Description) -> Objective:
    """Return how a model of this description learns from labels in pixels of its input.

    Raises:
        ModelError: Nobody knows how to train its head.
    """
    kind = type(description.head)
    if kind not in OBJECTIVES:
        known = ", ".join(tag for tag, head in HEADS.items() if head.schema in OBJECTIVES)
        raise ModelError(
            f"expected a head that labels can train ({known}), found {description.head.kind}; "
            "leave the labels out, and it is trained to do as before"
        )
    return OBJECTIVES[kind](description)


def _outputs(description: Description, outputs: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the outputs by their roles."""
    return {role: outputs[name] for role, name in description.outputs.items()}


def _ssd(description: Description) -> Objective:
    head, anchors = description.head_as(SsdHead), description.anchors
    if anchors is None:
        raise ModelError("expected anchors beside an SSD head, found none; import it again")
    scales, size_wh = np.array(head.box_scales, np.float32), description.input.size_wh

    def loss(outputs: Any, batch: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
        found = _outputs(description, outputs)
        return multibox(found, batch, head=head, classes=len(description.labels))

    return Objective(partial(matched, anchors=anchors, scales=scales, size_wh=size_wh), loss)


def multibox(
    found: Mapping[str, Any], batch: Mapping[str, Any], *, head: SsdHead, classes: int
) -> tuple[Any, dict[str, Any]]:
    """Return smooth L1 of matched boxes and cross-entropy of these and the hardest negatives.

    Both are divided by the matched anchors of the batch. With sigmoids the cross-entropy is binary,
    over all classes.

    Args:
        found: `boxes` (B, A, 4) and `scores` (B, A, columns), raw as the head has them.
        batch: `offsets` (B, A, 4), `classes` (B, A) int32: the class, -1 without, -2 ignored.
        head: Activation and background.
        classes: Their number.

    Source: Liu et al. 2016, eq. 1 to 3; smooth L1: Girshick 2015, "Fast R-CNN", eq. 3.
    """
    from keras import ops  # noqa: PLC0415 - 3 s, for who trains

    wanted = batch["classes"]
    positive = ops.cast(wanted >= 0, "float32")
    free = ops.cast(wanted == -1, "float32")
    hot = ops.one_hot(ops.maximum(wanted, 0), classes) * positive[..., None]
    scores = found["scores"]
    if head.activation == "sigmoid":
        each = ops.sum(binary(scores[..., int(head.background) :], hot), axis=-1)
    else:
        if head.background:
            hot = ops.concatenate([1 - positive[..., None], hot], axis=-1)
        each = -ops.sum(hot * ops.log(scores + TINY), axis=-1)
        if not head.background:
            each = each - ops.sum((1 - hot) * ops.log(1 - scores + TINY), axis=-1)
    hardness = ops.stop_gradient(each) * free - (1 - free)
    count = ops.sum(positive, axis=1)
    most = ops.maximum(NEGATIVES * count, LEAST_NEGATIVES)
    order = ops.argsort(ops.argsort(-hardness, axis=1), axis=1)
    negative = free * ops.cast(ops.cast(order, "float32") < most[:, None], "float32")
    matched_count = ops.maximum(ops.sum(count), 1.0)
    classification = ops.sum(each * (positive + negative)) / matched_count
    error = ops.abs(found["boxes"] - batch["offsets"])
    smooth = ops.where(error < 1, 0.5 * error**2, error - 0.5)
    boxes = ops.sum(ops.sum(smooth, axis=-1) * positive) / matched_count
    return classification + boxes, {"classes": classification, "boxes": boxes}


def _yolo(description: Description) -> Objective:
    head, size_wh = description.head_as(YoloHead), description.input.size_wh
    classes = len(description.labels)

    def loss(outputs: Any, batch: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
        found = _outputs(description, outputs)
        return yolo(found, batch, head=head, classes=classes, size_wh=size_wh)

    return Objective(partial(yolo_cells, grids=head.grids), loss)


def _segmentation(description: Description) -> Objective:
    head, (name,) = description.head_as(SegmentationHead), description.outputs.values()
    if head.activation == "argmax":
        raise ModelError(
            "expected a segmenter's scores, found class ids, which have no gradient; train the "
            "model before its argmax is put on"
        )

    def loss(outputs: Any, batch: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
        return masks(outputs[name], batch["mask"], activation=head.activation)

    return Objective(fitted_mask, loss)


def masks(scores: Any, wanted: Any, *, activation: str) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
    """Return cross-entropy plus 1 - Dice, means over the judged pixels and over the classes.

    Args:
        scores: (B, H, W, C) as the head has them; one channel is a foreground's.
        wanted: (B, h, w) int32 class ids, `VOID` left out; of another size than the scores' they
            are met at the nearest pixels.
        activation: Of the head.

    Source: Ronneberger et al. 2015, eq. 1; Dice: Milletari et al. 2016, "V-Net", section 3.
    """
    from keras import ops  # noqa: PLC0415 - 3 s, for who trains

    _, high, wide, channels = scores.shape
    rows, columns = (
        (np.arange(size) * full // size)
        for size, full in zip((high, wide), wanted.shape[1:], strict=True)
    )
    wanted = ops.take(ops.take(wanted, rows, axis=1), columns, axis=2)
    judged = ops.cast(wanted != VOID, "float32")[..., None]
    hot = ops.one_hot(ops.where(wanted == VOID, 0, wanted), max(channels, 2))
    if activation == "sigmoid":
        share = ops.sigmoid(scores)
        entropy = binary(scores, hot[..., 1:])
        share = ops.concatenate([1 - share, share], axis=-1)
    else:
        if activation == "none" and channels == 1:
            scores = ops.concatenate([1 - scores, scores], axis=-1)
        share = ops.softmax(scores) if activation == "softmax" else scores
        logarithm = ops.log_softmax(scores) if activation == "softmax" else ops.log(share + TINY)
        entropy = -ops.sum(hot * logarithm, axis=-1, keepdims=True)
    entropy = ops.sum(entropy * judged) / ops.maximum(ops.sum(judged), 1.0)
    both = ops.sum(hot * share * judged, axis=(0, 1, 2))
    sums = ops.sum((hot + share) * judged, axis=(0, 1, 2))
    dice = 1 - ops.mean((2 * both + 1) / (sums + 1))
    return entropy + dice, {"entropy": entropy, "dice": dice}


def _classes(description: Description) -> Objective:
    head, (name,) = description.head_as(ClassesHead), description.outputs.values()
    count = len(description.labels)

    def loss(outputs: Any, batch: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
        from keras import ops  # noqa: PLC0415 - as above

        scores = ops.reshape(outputs[name], (-1, count))
        hot = ops.one_hot(batch["class"], count)
        if head.activation == "sigmoid":
            total = ops.mean(ops.sum(binary(scores, hot), axis=-1))
        else:
            softened = hot * (1 - SMOOTHING) + SMOOTHING / count
            logits = head.activation == "softmax"
            logarithm = ops.log_softmax(scores) if logits else ops.log(scores + TINY)
            total = -ops.mean(ops.sum(softened * logarithm, axis=-1))
        return total, {}

    return Objective(lambda labels: {"class": np.int32(labels.class_id)}, loss)


def _anomaly(description: Description) -> Objective:
    (name,) = description.outputs.values()

    def loss(outputs: Any, batch: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
        from keras import ops  # noqa: PLC0415 - as above

        return ops.mean((outputs[name] - batch["clean"]) ** 2), {}

    return Objective(lambda _: {}, loss)


OBJECTIVES: dict[type, Callable[[Description], Objective]] = {
    SsdHead: _ssd,
    YoloHead: _yolo,
    SegmentationHead: _segmentation,
    ClassesHead: _classes,
    AnomalyHead: _anomaly,
}
