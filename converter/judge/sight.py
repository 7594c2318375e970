"""One model's raw heads and what they decode to, image by image, through the runtime's own path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np

from edge.frame import Placement, StageClock
from edge.heads import task_of
from edge.model.loaded import load_model
from edge.preprocess import InputBuffer
from edge.results.class_map import ClassMap
from edge.results.detections import Detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.model.model_file import ModelFile

# Of the score from which a detection counts: what lies below moves the distance by 0.001 at most.
LEAST_RATIO = 0.2
MAX_CANDIDATES = 500
# Of a pixel of the model's input: what a frame is off by when a camera moves, and nobody notices.
SHIFT_PX = 0.25
DIAGONALS = ((1, 1), (1, -1), (-1, 1), (-1, -1))

Seen = Detections | ClassMap


@dataclass(frozen=True, slots=True)
class Look:
    """What a model gives on one image.

    Attributes:
        heads: Output role to its real values, float32, of the output's shape.
        seen: Detections down to `LEAST_RATIO` of the score threshold, or a class map; owned by
            whoever looked.
    """

    heads: dict[str, NDArray[np.float32]]
    seen: Seen


class Sight:
    """A loaded model and its buffers.

    Args:
        file: A detector or a segmenter.

    Attributes:
        spec: The model's contract.

    Raises:
        ModelError: The runtime refuses the model, or the manifest does not fit it.
    """

    def __init__(self, file: ModelFile) -> None:
        described = file.description
        thresholds = described.thresholds()
        # A segmenter keeps its own threshold: that of its foreground says which cells it covers.
        if task_of(described.head) == "detection":
            least = LEAST_RATIO * described.score_threshold
            thresholds = described.thresholds(score=least, max_candidates=MAX_CANDIDATES)
        self._model = load_model(file, thresholds=thresholds)
        self.spec = self._model.spec
        self._buffer = InputBuffer(self.spec)
        self._tensors = self._model.output_buffers()

    def look(self, image: NDArray[np.uint8]) -> Look:
        """Run the model on `(H, W, 3)` uint8, B G R."""
        seen = self._see(image)
        outputs = self.spec.outputs
        heads = {role: outputs[role].quant.dequantize(q) for role, q in self._tensors.items()}
        return Look(heads, seen)

    def look_shifted(
        self, image: NDArray[np.uint8], diagonals: Sequence[tuple[int, int]] = DIAGONALS
    ) -> tuple[Seen, ...]:
        """Run the model on the image moved by `SHIFT_PX` along some diagonals.

        Returns:
            What is seen each time, boxes moved back; a class map stays, whose cells are as large as
            a pixel of the input or larger.
        """
        size_wh = (image.shape[1], image.shape[0])
        transform = self.spec.description.input
        placement = Placement.fit(size_wh, transform.size_wh, resize=transform.resize)
        step = SHIFT_PX * np.divide(size_wh, placement.region_wh)  # (x, y), source pixels
        return tuple(self._see_moved(image, step * signs) for signs in diagonals)

    def _see_moved(self, image: NDArray[np.uint8], offset_xy: NDArray[np.float64]) -> Seen:
        matrix = np.column_stack([np.eye(2), offset_xy])
        moved = cv2.warpAffine(
            image, matrix, (image.shape[1], image.shape[0]), borderMode=cv2.BORDER_REPLICATE
        )
        seen = self._see(np.asarray(moved, np.uint8))
        if isinstance(seen, ClassMap):
            return seen
        back = np.tile(offset_xy, 2).astype(np.float32)  # x, y, x, y
        return Detections(seen.boxes - back, seen.scores, seen.class_ids)

    def _see(self, image: NDArray[np.uint8]) -> Seen:
        self._buffer.fill(image)
        self._model.invoke(self._buffer, out=self._tensors)
        seen = self._model.decode(self._tensors, self._buffer.placement, StageClock())
        return cast("Seen", seen.copy())
