"""The head `segmentation`: a class id a cell, without dequantising anything."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edge.decode.argmax import ByteArgmax, takes
from edge.decode.checks import Misfit, cells_text, expect_no_anchors, expect_raw, expect_roles
from edge.decode.scores import least_raw
from edge.errors import ModelError
from edge.model.description import HeadSchema
from edge.results.class_map import ClassMap

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge.frame import Placement, StageClock
    from edge.model.description import Description, Thresholds
    from edge.model.spec import ModelSpec, Tensors, TensorSpec

ROLE = "classes"
MAX_CLASSES = 256  # a class map is uint8
BINARY_CLASSES = 2
MAP_AXES, SCORE_AXES = 3, 4  # (1, H, W) and (1, H, W, C)
NEEDED = {
    "argmax": "integers (1, H, W) or (1, H, W, 1)",
    "sigmoid": "(1, H, W, 1)",
    "softmax": "(1, H, W, C) with C >= 2",
    "none": "(1, H, W, C)",
}


class SegmentationHead(HeadSchema, frozen=True, kw_only=True, tag="segmentation"):
    """A class for each cell of the output role `classes`, `(1, H, W, C)` or `(1, C, H, W)`.

    Attributes:
        activation: What the output holds. `sigmoid`: raw scores `(1, H, W, 1)` of the foreground,
            labels are (background, foreground); `softmax`: raw scores `(1, H, W, C)`; `none`:
            probabilities of either shape, as the graph made them; `argmax`: class ids, integers,
            `(1, H, W)` or `(1, H, W, 1)`.
        background: Class id that is nothing in particular and is left out of results, or `None`.
    """

    activation: Literal["sigmoid", "softmax", "none", "argmax"]
    background: int | None = 0


def check(spec: ModelSpec) -> None:
    """Compare the head with the output and the labels.

    Raises:
        Misfit: They disagree.
    """
    head = spec.description.head_as(SegmentationHead)
    if head.activation != "argmax":
        expect_raw(spec)
    expect_no_anchors(spec.description)
    expect_roles(spec, {ROLE}, head="a segmentation head")
    output = channels_last(spec)
    if not _fits(head, output):
        raise Misfit(
            f"output {ROLE} is {output.shape} {output.dtype}, but a segmentation head "
            f"with activation {head.activation} needs {NEEDED[head.activation]}"
        )
    labels = len(spec.description.labels)
    # One channel tells two classes apart.
    classes = labels if head.activation == "argmax" else max(BINARY_CLASSES, output.shape[-1])
    if labels != classes or not BINARY_CLASSES <= labels <= MAX_CLASSES:
        expected = f"{BINARY_CLASSES} to {MAX_CLASSES}" if labels == classes else str(classes)
        raise Misfit(
            f"the description has {labels} labels, but output {ROLE} {output.shape} needs "
            f"{expected}"
        )
    if head.background is not None and not 0 <= head.background < labels:
        raise Misfit(
            f"the head's background is class {head.background}, but there are labels "
            f"0 to {labels - 1}"
        )


def channels_last(spec: ModelSpec) -> TensorSpec:
    """Return the output with its channels last; `(1, C, H, W)` is told by the number of labels."""
    output, labels = spec.outputs[ROLE], len(spec.description.labels)
    shape = output.shape
    if len(shape) == SCORE_AXES and shape[1] == labels != shape[3]:
        return replace(output, shape=(1, *shape[2:], labels))
    return output


def _fits(head: SegmentationHead, output: TensorSpec) -> bool:
    axes = len(output.shape)
    if axes not in (MAP_AXES, SCORE_AXES) or output.shape[0] != 1 or min(output.shape) < 1:
        return False
    channels = output.shape[-1]
    if head.activation == "argmax":
        return output.dtype.kind in "iu" and (axes == MAP_AXES or channels == 1)
    if axes != SCORE_AXES or output.dtype.kind not in "iuf":
        return False
    if head.activation == "sigmoid":
        return channels == 1
    return head.activation == "none" or channels >= BINARY_CLASSES


def has_threshold(description: Description) -> bool:
    """Whether a score threshold decides: one probability tells two classes apart."""
    activation = description.head_as(SegmentationHead).activation
    is_binary = len(description.labels) == BINARY_CLASSES
    return activation == "sigmoid" or (activation == "none" and is_binary)


def describe(spec: ModelSpec) -> list[tuple[str, str]]:
    """Return what `edge inspect` says of the head."""
    head = spec.description.head_as(SegmentationHead)
    number = head.background
    background = "none" if number is None else f"{number} ({spec.description.labels[number]})"
    text = (
        f"segmentation, {cells_text(channels_last(spec))} cells, activation {head.activation}, "
        f"background class {background}"
    )
    return [("head", text)]


class SegmentationDecoder:
    """Decodes the output of one model into a buffer of its own.

    Of equal scores the lowest class id wins, and NaN loses against every number. Of 256 x 256 cells
    on x86: 4 µs for a threshold, 30 for two classes, 80 for four, 500 for 21; NumPy's `argmax`
    takes 2,900.

    Args:
        spec: The model; its output is `classes`, laid out as `SegmentationHead` says.
        thresholds: `score` is the least of the foreground where `has_threshold` says so; else the
            greatest channel wins, whatever its score.

    Attributes:
        class_ids: `(H, W)` uint8, of the output's resolution.
    """

    def __init__(self, spec: ModelSpec, thresholds: Thresholds) -> None:
        head = spec.description.head_as(SegmentationHead)
        output = channels_last(spec)
        self._is_turned = output is not spec.outputs[ROLE]
        self._labels = len(spec.description.labels)
        height, width = output.shape[1:3]
        # Ids have one channel, whether the shape says so or not.
        self._channels = 1 if head.activation == "argmax" else output.shape[3]
        self.class_ids = np.zeros((height, width), np.uint8)
        self._threshold = least_raw(
            output, thresholds.score, "sigmoid" if head.activation == "sigmoid" else "none"
        )
        # One compare cannot pass NaN over, which only a float output can hold.
        self._is_pair = self._channels == BINARY_CLASSES and output.dtype.kind != "f"
        self._is_bytes = not self._is_turned and takes(
            (height, width, self._channels), output.dtype
        )
        is_plain = self._channels == 1 or self._is_pair or self._is_bytes
        kept = (0, 0) if is_plain else (height, width)
        self._plane = np.empty(kept, output.dtype)
        self._best = np.empty(kept, output.dtype)
        self._wins = np.empty(kept, np.bool_)
        self._winner = np.empty(kept, np.uint8)
        self._fill = self._filler(spec.description, output.dtype)

    def decode(self, tensors: Tensors, placement: Placement, clock: StageClock) -> ClassMap:
        """Return the cells that the frame covers; borrowed until the next call.

        Nothing made here grows with the image.

        Raises:
            ModelError: The graph gave a class id that has no label.
        """
        if self._is_turned:
            self._fill(tensors[ROLE][0].transpose(1, 2, 0))  # (H, W, C)
        else:
            self._fill(tensors[ROLE].reshape(*self.class_ids.shape, self._channels))
        rows, columns = placement.cells(self.class_ids.shape)
        seen = ClassMap(self.class_ids[rows, columns], placement.source_wh)
        clock.lap("decode")
        return seen

    def _filler(
        self, description: Description, dtype: np.dtype[Any]
    ) -> Callable[[NDArray[Any]], None]:
        if description.head_as(SegmentationHead).activation == "argmax":
            return self._fill_with_ids
        if has_threshold(description):
            return self._fill_above_threshold
        if self._is_pair:
            return self._fill_of_two
        if self._is_bytes:
            flat = self.class_ids.reshape(-1)
            return partial(ByteArgmax(self._channels, len(flat), dtype), out=flat)
        return self._fill_of_many

    def _fill_with_ids(self, ids: NDArray[Any]) -> None:
        for extreme in (ids.min(), ids.max()):
            if not 0 <= extreme < self._labels:
                raise ModelError(
                    f"output classes holds class id {extreme}, expected 0 to {self._labels - 1}, "
                    "one for each label; fix the labels and convert the model again"
                )
        np.copyto(self.class_ids, ids[..., 0], casting="unsafe")

    def _fill_above_threshold(self, scores: NDArray[Any]) -> None:
        if self._threshold is None:
            self.class_ids.fill(0)
        else:
            np.greater_equal(scores[..., -1], self._threshold, out=self.class_ids.view(np.bool_))

    def _fill_of_two(self, scores: NDArray[Any]) -> None:
        np.greater(scores[..., 1], scores[..., 0], out=self.class_ids.view(np.bool_))

    def _fill_of_many(self, scores: NDArray[Any]) -> None:
        """Keep the running maximum, plane by plane, each copied to where it is contiguous.

        The winners are ascending, so the last one is the greatest of those that won.
        """
        plane, best, wins, winner = self._plane, self._best, self._wins, self._winner
        greatest = np.fmax if scores.dtype.kind == "f" else np.maximum  # fmax passes NaN over
        lowest = -np.inf if scores.dtype.kind == "f" else np.iinfo(scores.dtype).min
        greatest(scores[..., 0], scores.dtype.type(lowest), out=best)
        self.class_ids.fill(0)
        for class_id in range(1, self._channels):
            np.copyto(plane, scores[..., class_id])
            np.greater(plane, best, out=wins)
            greatest(best, plane, out=best)
            np.multiply(wins.view(np.uint8), np.uint8(class_id), out=winner)
            np.maximum(self.class_ids, winner, out=self.class_ids)
