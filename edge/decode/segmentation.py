"""The output of a segmentation head to a class id a cell, without dequantising anything."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.decode.activation import least_raw, logit
from edge.errors import ModelError
from edge.model.heads import SegmentationHead
from edge.results.class_map import ClassMap

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge.model.spec import ModelSpec
    from edge.placement import Placement

BINARY_CLASSES = 2


class SegmentationDecoder:
    """Decodes the head of one model into a buffer of its own.

    Of equal scores the lowest class id wins, and NaN loses against every number. Of 256 x 256 cells
    on x86: 4 µs for a threshold, 30 for two classes, 90 for four, 600 to 800 for 21; NumPy's
    `argmax` takes 2,900.

    Args:
        spec: The model; its output is `classes`, laid out as `SegmentationHead` says.
        score_threshold: Least score of the foreground where one channel stands for two classes, in
            [0, 1], compared in float32; of several channels the greatest wins, whatever its score.

    Attributes:
        head: The spec's.
        class_ids: `(H, W)` uint8, of the output's resolution.
    """

    def __init__(self, spec: ModelSpec, *, score_threshold: float) -> None:
        head = spec.manifest.head
        if not isinstance(head, SegmentationHead):
            raise TypeError(f"expected a segmentation head, got {head.kind}")
        output = spec.outputs["classes"]
        self.head = head
        self._input_wh = spec.manifest.input.size_wh
        self._labels = len(spec.manifest.labels)
        height, width = output.shape[1:3]
        # Ids have one channel, whether the shape says so or not.
        self._channels = 1 if head.activation == "argmax" else output.shape[3]
        self.class_ids = np.zeros((height, width), np.uint8)
        real = logit(score_threshold) if head.activation == "sigmoid" else score_threshold
        self._threshold = least_raw(output, real)
        # One compare cannot pass NaN over, which only a float output can hold.
        self._is_pair = self._channels == BINARY_CLASSES and output.dtype.kind != "f"
        kept = (0, 0) if self._channels == 1 or self._is_pair else (height, width)
        self._plane = np.empty(kept, output.dtype)
        self._best = np.empty(kept, output.dtype)
        self._wins = np.empty(kept, np.bool_)
        self._winner = np.empty(kept, np.uint8)
        self._fill = self._filler(head)

    def decode(self, heads: dict[str, NDArray[Any]]) -> int:
        """Decode one frame into `class_ids`; nothing made here grows with the image.

        Args:
            heads: Output role to raw tensor, of the spec's shapes and dtypes; read only.

        Returns:
            The number of cells.

        Raises:
            ModelError: The graph gave a class id that has no label.
        """
        output = heads["classes"].reshape(*self.class_ids.shape, self._channels)  # (H, W, C)
        self._fill(output)
        return self.class_ids.size

    def class_map(self, placement: Placement) -> ClassMap:
        """Return the part of `class_ids` where the frame lies: a view, until the next `decode`."""
        height, width = self.class_ids.shape
        columns, rows = (
            _cells(
                placement.offset_xy[axis],
                placement.region_wh[axis],
                per_input=cells / self._input_wh[axis],
                cells=cells,
            )
            for axis, cells in enumerate((width, height))
        )
        return ClassMap(self.class_ids[rows, columns], placement.source_wh)

    def _filler(self, head: SegmentationHead) -> Callable[[NDArray[Any]], None]:
        if head.activation == "argmax":
            return self._fill_with_ids
        if self._channels == 1:
            return self._fill_above_threshold
        return self._fill_of_two if self._is_pair else self._fill_of_many

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
            np.greater_equal(scores[..., 0], self._threshold, out=self.class_ids.view(np.bool_))

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


def _cells(offset_px: int, region_px: int, *, per_input: float, cells: int) -> slice:
    """Return the cells of an axis whose borders lie nearest to the region's; at least one."""
    # Halves upwards: to even, a region between two halves would lose a cell or win one.
    first = min(math.floor(offset_px * per_input + 0.5), cells - 1)
    end = max(math.floor((offset_px + region_px) * per_input + 0.5), first + 1)
    return slice(first, end)
