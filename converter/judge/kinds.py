"""How models are compared by what they see, task by task. A new task is a row.

The tolerances of boxes and masks are fitted by `scripts/gate_table`, whose table docs/accuracy.md
holds, with what is known of the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from edge.heads import HEADS
from edge.results.detections import Detections

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge.results.instances import Instances
    from edge.results.poses import Poses

D = TypeVar("D", bound=Detections)

# Of its mAP50-95: the share that a detector loses with a distance. Fitted by `scripts/gate_table`.
RELATIVE_LOSS = 0.85
# The distance that no noise floor excuses: one of 0.42 would let a model pass that finds nothing.
# Of 40 variants of detectors none above 0.14 lost less than a point.
MOST = 0.5


def _boxes(seen: D, scale: float, offset_xy: NDArray[np.float64]) -> D:
    boxes = (seen.boxes * scale + np.tile(offset_xy, 2)).astype(np.float32)  # x, y, x, y
    return replace(seen, boxes=boxes)


def _masks(seen: Instances, scale: float, offset_xy: NDArray[np.float64]) -> Instances:
    x, y = offset_xy.tolist()
    masks = []
    for mask in seen.masks:
        x1, y1, x2, y2 = (side * scale for side in mask.box)
        masks.append(replace(mask, box=(x1 + x, y1 + y, x2 + x, y2 + y)))
    return replace(_boxes(seen, scale, offset_xy), masks=tuple(masks))


def _points(seen: Poses, scale: float, offset_xy: NDArray[np.float64]) -> Poses:
    points = seen.points.copy()
    points[..., :2] = points[..., :2] * scale + offset_xy
    return replace(_boxes(seen, scale, offset_xy), points=points)


def _loss_of_boxes(distance: float) -> str:
    share = RELATIVE_LOSS * distance
    return (
        f"about {share:.0%} of its mAP50-95 lost ({100 * share * 0.3:.1f} points of a model at "
        "0.30), as far as that can be told without labels"
    )


def _loss_of_classes(distance: float) -> str:
    return (
        f"on images of a sure class at most {100 * distance:.1f} points of its top-1 accuracy are "
        "lost: no more of them have another class"
    )


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to compare.

    Attributes:
        match: Module and function that return the `Agreement` of what was found with what was
            wanted; loaded when it is asked for.
        is_far: What the distance is 1 minus of, or says by itself, for the report.
        times: How many times the noise floor it may be.
        most: What it may be whatever the floor.
        least: Of what the reference must be sure of for a pass to be proven.
        things: What that is, for people.
        nothing: What a reference sees that sees nothing on any image.
        counted: Name of what is found again, and the words for it; empty where nothing is.
        metrics: With labels, those that the verdict rests on.
        shown: What the report's pictures show.
        lowest: Of the score threshold, what a result is kept from; `None` keeps the threshold.
        placed: Of a result, it scaled and then moved, in pixels.
        loss: What a distance means in words.
    """

    match: tuple[str, str]
    is_far: str
    times: float
    least: int
    things: str
    nothing: str
    metrics: tuple[str, ...]
    shown: str
    most: float = MOST
    counted: tuple[str, str] | None = None
    lowest: float | None = None
    placed: Callable[[Any, float, NDArray[np.float64]], Any] = lambda seen, *_: seen
    loss: Callable[[float], str] = lambda _: ""


def _of_boxes(noun: str, match: tuple[str, str], by: str, **more: Any) -> Kind:  # noqa: ANN401
    """Return a row of a task whose results are detections, with a box each."""
    return Kind(
        match,
        f"1 - average precision, {by} 0.5 to 0.85, with the float model's {noun}s as the truth",
        times=2.4,
        least=50,
        things=f"{noun}s",
        nothing=f"no {noun} above the score threshold",
        shown=f"{noun}s from the score threshold on, and the partners of those that the other has",
        counted=(f"{noun}s", "found again"),
        # What lies below moves the distance by 0.001 at most.
        lowest=0.2,
        **more,
    )


KINDS = {
    "detection": _of_boxes(
        "detection", ("converter.judge.agreement", "match_boxes"), "IoU",
        metrics=("mAP50-95",), placed=_boxes, loss=_loss_of_boxes,
    ),
    "instances": _of_boxes(
        "instance", ("converter.judge.shapes", "match_instances"), "mask IoU",
        metrics=("mask mAP50-95",), placed=_masks,
    ),
    "pose": _of_boxes(
        "pose", ("converter.judge.shapes", "match_poses"), "keypoint similarity",
        metrics=("OKS mAP50-95",), placed=_points,
    ),
    "segmentation": Kind(
        ("converter.judge.agreement", "match_masks"),
        "1 - mean IoU with the float model's masks, borders left out",
        times=1.2,
        least=20,
        things="masks of more than one class",
        nothing="a mask of one class",
        metrics=("mIoU",),
        shown="class masks over the image",
    ),
    "classification": Kind(
        ("converter.judge.whole_frames", "match_classes"),
        "share of the images with another best class, or one of less than half the score "
        "threshold, of those of which either model is sure",
        times=2.4,
        most=0.25,
        least=50,
        things="images of a sure class",
        nothing="no class above the score threshold",
        metrics=("top-1",),
        shown="the best classes and their scores",
        counted=("classes", "the same"),
        lowest=0.0,
        loss=_loss_of_classes,
    ),
    "anomaly": Kind(
        ("converter.judge.whole_frames", "match_errors"),
        "mean over the images of how much the error differs, as a share of the greater one",
        times=2.4,
        # Details that an autoencoder leaves out move with the image, and its error with them.
        most=0.25,
        least=20,
        things="images",
        nothing="no error",
        metrics=("AUROC",),
        shown="each model's error, and where it lies, by its own threshold",
    ),
}  # fmt: skip


def kind_of(head: str) -> Kind:
    """Return how models of a kind of head, as manifests have it, are compared."""
    return KINDS[HEADS[head].task]
