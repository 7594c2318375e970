"""Run a model's stages in a row, and note how long each took on each image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.frame import StageClock

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.loaded import LoadedModel
    from edge.results.observation import Result


@dataclass(frozen=True, slots=True)
class StageTime:
    """Milliseconds of one stage over the images: median, 95th percentile, mean."""

    p50_ms: float
    p95_ms: float
    mean_ms: float


class TimedModel:
    """Runs a model image by image on the calling thread.

    Args:
        model: Nobody else may use it meanwhile.
    """

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._input = model.input_buffers()[0]
        self._tensors = model.output_buffers()
        self._times_ms: list[dict[str, float]] = []
        # The first invoke lays the weights out, which no later one does.
        model.invoke(self._input, out=self._tensors)

    def run(self, image: NDArray[np.uint8]) -> Result:
        """Return what the model sees on `(H, W, 3)` uint8, B G R; borrowed until the next call."""
        clock = StageClock()
        self._input.fill(image)
        clock.lap("preprocess")
        self._model.invoke(self._input, out=self._tensors)
        clock.lap("invoke")
        result = self._model.decode(self._tensors, self._input.placement, clock)
        self._times_ms.append(clock.stage_ms())
        return result

    def times(self) -> dict[str, StageTime]:
        """Return the figures of each stage, and of all of them together as `total`."""
        if not self._times_ms:
            return {}
        stages = tuple(self._times_ms[0])
        table = np.array([[row[stage] for stage in stages] for row in self._times_ms])
        columns = dict(zip(stages, table.T, strict=True)) | {"total": table.sum(axis=1)}
        return {
            name: StageTime(
                p50_ms=float(np.percentile(times, 50)),
                p95_ms=float(np.percentile(times, 95)),
                mean_ms=float(times.mean()),
            )
            for name, times in columns.items()
        }
