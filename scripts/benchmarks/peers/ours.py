"""This runtime: `pipeline`, its results counted in memory, or `bare`, the invoke alone."""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import line

sys.path.append(str(Path(__file__).resolve().parents[1]))

from bench_workers import RamSource

from edge import app
from edge.capture.latest import CaptureThread, Turns
from edge.config import reading as config
from edge.cores import Cores, available_cores, confined
from edge.model.loaded import load_model
from edge.pipeline import Behaviour, Pipeline
from edge.results.detections import Detections

if TYPE_CHECKING:
    import numpy as np

    from edge.results.observation import Observation

    Array = np.ndarray[Any, Any]

VERSIONS = (
    f"edge-vision {version('edge-vision')}, ai-edge-litert {version('ai-edge-litert')}, "
    f"OpenCV {cv2.__version__}"
)


class Stopwatch:
    """A consumer that starts its clock behind `lead` observations and reads it at the last."""

    def __init__(self, lead: int) -> None:
        self._left = lead
        self._frames = self._detections = 0
        self._start()

    def _start(self) -> None:
        self._started_s, self._cpu_s = time.perf_counter(), time.process_time()

    def __call__(self, observation: Observation) -> None:
        """Count one frame."""
        if self._left:
            self._left -= 1
            if not self._left:
                self._start()
            return
        self._frames += 1
        if isinstance(observation.result, Detections):  # and no class map
            self._detections += len(observation.result)

    def window(self) -> line.Window:
        """Return what was counted, until now."""
        return line.Window(
            self._frames,
            time.perf_counter() - self._started_s,
            time.process_time() - self._cpu_s,
            self._detections,
        )


class Ours:
    """The parts of `edge run`, wired by `edge.app`; its sink is a stopwatch."""

    versions = VERSIONS

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._parts = self._stack.enter_context(app.opened(settings(folder)))
        self._captures = {"clip": self._parts.captures[0]}

    def run(self, source: str, *, lead: int, frames: int) -> line.Window:
        """See `line.Peer.run`."""
        if source not in self._captures:
            self._captures[source] = self._ram_capture()
        watch = Stopwatch(lead)
        pipeline = Pipeline(
            Turns([self._captures[source]]),
            Behaviour(self._parts.model),
            [watch],
            workers=self._parts.workers,
        )
        pipeline.run(max_frames=lead + frames)
        return watch.window()

    def _ram_capture(self) -> CaptureThread[Any]:
        images = line.Frames(self._folder / "clip.mp4").kept()
        capture = CaptureThread(RamSource(images), self._parts.model.input_buffers(), camera="clip")
        self._stack.enter_context(capture)
        return capture

    def labels(self, image: Array) -> list[str]:
        """See `line.Peer.labels`."""
        model = self._parts.model
        texts = model.description.labels
        return [texts[class_id] for class_id in model(image).class_ids]


class Bare:
    """Invoke and nothing else, on the core that the pipeline's invoke has: the limit."""

    versions = VERSIONS

    def __init__(self, folder: Path) -> None:
        self._cores = Cores.divide(available_cores(), threads=1)
        with confined(self._cores.interpreter):
            self._interpreter = load_model(app.model_file(settings(folder)), threads=1)

    def run(self, source: str, *, lead: int, frames: int) -> line.Window:  # noqa: ARG002 - no frames
        """See `line.Peer.run`."""
        with confined(self._cores.interpreter):
            for _ in range(lead):
                self._interpreter.invoke_bare()
            started_s, cpu_s = time.perf_counter(), time.process_time()
            for _ in range(frames):
                self._interpreter.invoke_bare()
        return line.Window(frames, time.perf_counter() - started_s, time.process_time() - cpu_s, 0)

    def labels(self, image: Array) -> list[str]:  # noqa: ARG002 - its input is never filled
        """Return nothing."""
        return []


def settings(folder: Path) -> config.Config:
    """Return the configuration of one camera, the clip, without a broker."""
    contract = json.loads((folder / "contract.json").read_text(encoding="utf-8"))
    return config.parse(
        {
            "device": {"name": "bench"},
            "camera": {"source": f"file:{folder / 'clip.mp4'}", "loop": True, "realtime": False},
            "model": {"file": contract["file"], "threads": 1},
        }
    )


VARIANTS = {"pipeline": Ours, "bare": Bare}


def open_peer(folder: Path, variant: str) -> line.Peer:
    """Return one of `VARIANTS`."""
    return VARIANTS[variant](folder)


if __name__ == "__main__":
    sys.exit(line.serve(open_peer))
