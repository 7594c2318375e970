"""Run a model's stages in a row, and note how long each took on each image."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np

from edge.pipeline import StagedModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.placement import Placement
    from edge.preprocess import InputBuffer
    from edge.results.class_map import ClassMap
    from edge.results.detections import Detections

Result_co = TypeVar("Result_co", bound="Detections | ClassMap", covariant=True)
NS_PER_MS = 1e6


class Model(StagedModel, Protocol[Result_co]):
    """A `StagedModel` that makes its own input tensors; what it sees is of one kind."""

    def input_buffers(self) -> tuple[InputBuffer, InputBuffer, InputBuffer]:
        """Return input tensors."""

    def finish(self, decoded: int, placement: Placement, /) -> Result_co:
        """Return what was seen."""


@dataclass(frozen=True, slots=True)
class StageTime:
    """Milliseconds of one stage over the images: median, 95th percentile, mean."""

    p50_ms: float
    p95_ms: float
    mean_ms: float


class TimedModel(Generic[Result_co]):
    """Runs a model image by image on the calling thread.

    Args:
        model: A detector or segmenter; nobody else may use it meanwhile.
    """

    def __init__(self, model: Model[Result_co]) -> None:
        self._model = model
        self._input = model.input_buffers()[0]
        self._heads = model.heads()
        self._times_ns: list[dict[str, int]] = []
        # The first invoke lays the weights out, which no later one does.
        model.invoke(self._input, out=self._heads)

    def run(self, image: NDArray[np.uint8]) -> Result_co:
        """Return what the model sees on `(H, W, 3)` uint8, B G R; borrowed until the next call."""
        model = self._model
        marks_ns = [time.monotonic_ns()]
        self._input.fill(image)
        marks_ns.append(time.monotonic_ns())
        model.invoke(self._input, out=self._heads)
        marks_ns.append(time.monotonic_ns())
        count = model.decode(self._heads)
        marks_ns.append(time.monotonic_ns())
        result = model.finish(count, self._input.placement)
        marks_ns.append(time.monotonic_ns())
        times_ns: dict[str, int] = {}
        stages = ("preprocess", "invoke", "decode", model.finish_stage)
        for stage, start_ns, end_ns in zip(stages, marks_ns, marks_ns[1:], strict=False):
            times_ns[stage] = times_ns.get(stage, 0) + end_ns - start_ns
        self._times_ns.append(times_ns)
        return result

    def times(self) -> dict[str, StageTime]:
        """Return the figures of each stage, and of all of them together as `total`."""
        if not self._times_ns:
            return {}
        stages = tuple(self._times_ns[0])
        table = np.array([[row[stage] for stage in stages] for row in self._times_ns]) / NS_PER_MS
        columns = dict(zip(stages, table.T, strict=True)) | {"total": table.sum(axis=1)}
        return {
            name: StageTime(
                p50_ms=float(np.percentile(times, 50)),
                p95_ms=float(np.percentile(times, 95)),
                mean_ms=float(times.mean()),
            )
            for name, times in columns.items()
        }
