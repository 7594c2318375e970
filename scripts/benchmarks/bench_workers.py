"""How many times as many frames several interpreters give as one alone: frames in memory."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import cv2

from edge import app
from edge.capture.latest import CaptureThread, Turns
from edge.capture.picture import Picture
from edge.capture.synthetic import SCENES_FOLDER
from edge.config.reading import parse
from edge.cores import Cores, available_cores, confined, switching_soon
from edge.pipeline import Behaviour, Pipeline
from edge.preprocess import use_one_thread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.model.loaded import LoadedModel
    from edge.pipeline import Worker

SIZE_WH = (1280, 720)
WINDOW_FRAMES, WARM_UP_FRAMES = 200, 40


class RamSource:
    """Frames in memory, in turn, each as soon as it is asked for.

    Args:
        images: `(H, W, 3)` uint8, B G R.
        frames: After which it ends, as it does when it is interrupted.
        rate_hz: Of the file that they are said to be of.
    """

    live = False

    def __init__(
        self,
        images: Sequence[NDArray[Any]],
        *,
        frames: float = math.inf,
        rate_hz: float | None = None,
    ) -> None:
        self._images, self._frames, self._rate_hz = images, frames, rate_hz
        self._next = 0

    def read(self, buffer: NDArray[Any] | None) -> Picture | None:  # noqa: ARG002 - nothing is decoded
        """Return the next image: `edge.capture.source.Source.read`."""
        if self._next >= self._frames:
            return None
        self._next += 1
        image = self._images[self._next % len(self._images)]
        file_ns = round(self._next * 1e9 / self._rate_hz) if self._rate_hz else None
        return Picture.taken(image, time.monotonic_ns(), file_ns=file_ns)

    def interrupt(self) -> None:
        """End."""
        self._frames = 0

    close = interrupt


def measure(counts: Sequence[int] = (1, 2), *, pairs: int) -> dict[int, list[float]]:
    """Return, by the number of workers, frames a second over bare invokes a second, pair by pair.

    The bare invokes are those of one interpreter of one thread, half before a window and half
    behind it, on its cores among the fewest workers.
    """
    available = available_cores()
    use_one_thread()
    # As few as fit the cache, where a camera leaves each frame.
    paths = sorted(SCENES_FOLDER.glob("*.jpg"))[:2]
    images = [cv2.resize(cv2.imread(str(path)), SIZE_WH) for path in paths]
    loaded = {}
    for count in counts:
        settings = parse({"model": {"threads": 1, "workers": count}})
        cores = Cores.divide(available, threads=count)
        file = app.model_file(settings)
        loaded[count] = cores, app.open_workers(settings, file, cores, threads=1)
    alone = loaded[min(counts)][1][0]
    ratios: dict[int, list[float]] = {count: [] for count in counts}
    for pair in range(pairs + 1):
        for count in counts if pair % 2 else reversed(counts):
            cores, workers = loaded[count]
            before_s = bare_s(alone.model, alone.cores, WINDOW_FRAMES // 2)
            with confined(cores.others), switching_soon():
                frame_s = _frame_s(workers, images, WINDOW_FRAMES if pair else WARM_UP_FRAMES)
            after_s = bare_s(alone.model, alone.cores, WINDOW_FRAMES // 2)
            if pair:  # the first one warms up
                ratios[count].append((before_s + after_s) / 2 / frame_s)
    return ratios


def bare_s(model: LoadedModel, cores: frozenset[int], invokes: int) -> float:
    """Return the seconds of one of so many bare invokes on these cores."""
    with confined(cores):
        started_s = time.perf_counter()
        for _ in range(invokes):
            model.invoke_bare()
    return (time.perf_counter() - started_s) / invokes


def _frame_s(workers: tuple[Worker, ...], images: Sequence[NDArray[Any]], frames: int) -> float:
    model = workers[0].model
    with CaptureThread(RamSource(images), model.input_buffers(), camera="memory") as capture:
        pipeline = Pipeline(Turns([capture]), Behaviour(model), [], workers=workers)
        pipeline.run(max_frames=frames)
    return pipeline.times.summary().elapsed_s / frames
