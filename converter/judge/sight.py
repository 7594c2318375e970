"""One model's raw heads and what they decode to on a set of images, each run once.

It goes through the runtime's own path, and the outputs of one run are decoded for all who ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from converter.judge.agreement import match
from converter.judge.kinds import KINDS
from edge.capture.images import load_image
from edge.evaluation.measuring import JUDGED
from edge.frame import Placement, StageClock
from edge.heads import task_of
from edge.preprocess import InputBuffer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.judge.agreement import Agreement
    from edge.model.loaded import LoadedModel
    from edge.model.model_file import ModelFile
    from edge.results.observation import Result
    from edge.terminal.progress import Progress

# Of a pixel of the model's input: what a frame is off by when a camera moves, and nobody notices.
SHIFT_PX = 0.25
DIAGONALS = ((1, 1), (1, -1), (-1, 1), (-1, -1))
# Of the images on which raw heads are compared: they settle with few.
HEAD_IMAGES = 16


@dataclass(frozen=True, slots=True)
class Look:
    """What a model gives on one image.

    Attributes:
        heads: Output role to its real values, float32, of the output's shape.
        seen: What the model sees, down to `Kind.lowest` of the score threshold; owned by whoever
            looked.
        found: What labels are judged by: detections down to lower scores, or the same.
    """

    heads: dict[str, NDArray[np.float32]]
    seen: Result
    found: Result


class Sight:
    """A loaded model and its buffers.

    Args:
        file: A model of any task.

    Attributes:
        spec: The model's contract.

    Raises:
        ModelError: The runtime refuses the model, or the manifest does not fit it.
    """

    def __init__(self, file: ModelFile) -> None:
        described = file.description
        task = task_of(described.head)
        self._kind = KINDS[task]
        self._model = self._judged = JUDGED[task][2].open(file)
        # A segmenter keeps its own threshold: that of its foreground says which cells it covers.
        if self._kind.lowest is not None:
            least = self._kind.lowest * described.score_threshold
            self._model = self._judged.with_thresholds(score=least)
        self.spec = self._model.spec
        self._buffer = InputBuffer(self.spec)
        self._tensors = self._model.output_buffers()

    def look(self, image: NDArray[np.uint8], *, judged: bool = False) -> Look:
        """Run the model on `(H, W, 3)` uint8, B G R; keep what labels judge where that is asked."""
        seen = self._see(image)
        found = seen
        if judged and self._judged is not self._model:
            found = self._decoded(self._judged)
        outputs = self.spec.outputs.items()
        heads = {role: one.quant.dequantize(self._tensors[role]) for role, one in outputs}
        return Look(heads, seen, found)

    def look_shifted(
        self,
        image: NDArray[np.uint8],
        diagonals: Sequence[tuple[int, int]] = DIAGONALS,
        *,
        step_px: float = SHIFT_PX,
    ) -> tuple[Result, ...]:
        """Run the model on the image moved by some pixels of its input along some diagonals.

        Returns:
            What is seen each time, boxes moved back; a class map stays, whose cells are as large as
            a pixel of the input or larger.
        """
        size_wh = (image.shape[1], image.shape[0])
        transform = self.spec.description.input
        placement = Placement.fit(size_wh, transform.size_wh, resize=transform.resize)
        step = step_px * np.divide(size_wh, placement.region_wh)  # (x, y), source pixels
        return tuple(self._see_moved(image, step * signs) for signs in diagonals)

    def _see_moved(self, image: NDArray[np.uint8], offset_xy: NDArray[np.float64]) -> Result:
        matrix = np.column_stack([np.eye(2), offset_xy])
        moved = cv2.warpAffine(
            image, matrix, (image.shape[1], image.shape[0]), borderMode=cv2.BORDER_REPLICATE
        )
        back: Result = self._kind.placed(self._see(np.asarray(moved, np.uint8)), 1.0, -offset_xy)
        return back

    def _see(self, image: NDArray[np.uint8]) -> Result:
        self._buffer.fill(image)
        self._model.invoke(self._buffer, out=self._tensors)
        return self._decoded(self._model)

    def _decoded(self, model: LoadedModel) -> Result:
        return model.decode(self._tensors, self._buffer.placement, StageClock()).copy()


class Views:
    """What a model sees on images, each run once, as far as it was asked.

    Args:
        file: A model of any task.

    Attributes:
        file: The same.
        spec: Its contract.
        task: What it is for.
        paths: The images so far.
        heads: Of the first `HEAD_IMAGES`, role to real values.
        seen: What it sees on each image.
        found: What labels judge it by; empty unless asked for.
        shifted: Its agreements with itself when the images move; empty before they were.

    Raises:
        ModelError: The model cannot be run.
    """

    def __init__(self, file: ModelFile) -> None:
        self.file = file
        self.paths: list[Path] = []
        self.heads: list[dict[str, NDArray[np.float32]]] = []
        self.seen: list[Result] = []
        self.found: dict[Path, Result] = {}
        self.shifted: tuple[Agreement, ...] = ()
        self._sight = Sight(file)
        self.spec = self._sight.spec
        self.task = task_of(file.description.head)

    def add(
        self, paths: Sequence[Path], *, judged: bool = False, progress: Progress | None = None
    ) -> None:
        """Run the model on more images.

        Args:
            paths: Of the images.
            judged: Keep what labels judge it by.
            progress: Called with (images run, images to run).

        Raises:
            SourceError: An image cannot be read.
        """
        for done, path in enumerate(paths, start=1):
            look = self._sight.look(load_image(path), judged=judged)
            self.paths.append(path)
            self.seen.append(look.seen)
            if len(self.heads) < HEAD_IMAGES:
                self.heads.append(look.heads)
            if judged:
                self.found[path] = look.found
            if progress:
                progress(done, len(paths))

    def move(self, moves: int, *, progress: Progress | None = None) -> None:
        """Run the model on the images moved, and match what it sees with what it saw.

        Args:
            moves: Along how many diagonals each image is moved; of fewer than all, the next image
                begins with the next one.
            progress: Called with (images run, images to run).

        Raises:
            SourceError: An image cannot be read.
        """
        moved = self.moved(moves, progress=progress)
        sure = self.file.description.score_threshold
        self.shifted = tuple(match(self.seen, row, task=self.task, sure=sure) for row in moved)

    def moved(
        self, moves: int, *, step_px: float = SHIFT_PX, progress: Progress | None = None
    ) -> list[tuple[Result, ...]]:
        """Return what the model sees of the images moved, of each move an entry an image.

        Args:
            moves: As `move`.
            step_px: By how many pixels of its input, to each side.
            progress: As `move`.

        Raises:
            SourceError: An image cannot be read.
        """
        found = []
        for done, path in enumerate(self.paths, start=1):
            first = done % len(DIAGONALS)
            diagonals = (DIAGONALS[first:] + DIAGONALS)[:moves]
            found.append(self._sight.look_shifted(load_image(path), diagonals, step_px=step_px))
            if progress:
                progress(done, len(self.paths))
        return list(zip(*found, strict=True))
