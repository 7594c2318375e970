"""A peer's end of the line: one JSON request a line in, one JSON answer a line out.

Runs in the peer's own environment, so it needs the standard library, NumPy and OpenCV alone.

    -> {"run": 120, "lead": 20, "source": "clip"}
    <- {"frames": 120, "elapsed_s": 1.1, "cpu_s": 1.4, "detections": 130, "rss_mib": 98.2}
    -> {"image": "photo.jpg"}
    <- {"labels": ["cat", "person"]}

The first line of a peer is its answer to nothing: `{"ready": VERSIONS}` once the first frame has
its result, or `{"failed": REASON}`, as it may answer any request.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import cv2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

RAM_FRAMES = 30  # 79 MiB of 1280x720


class Window(NamedTuple):
    """What some frames took: wall clock and CPU of all threads, seconds, and what was found."""

    frames: int
    elapsed_s: float
    cpu_s: float
    detections: int


class Peer(Protocol):
    """One way to run a detector."""

    versions: str

    def run(self, source: str, *, lead: int, frames: int) -> Window:
        """Process `lead` frames untimed, then so many timed, of the source `clip` or `ram`."""

    def labels(self, image: np.ndarray[Any, Any]) -> list[str]:
        """Return the label of each detection in an image, B G R."""


class Frames:
    """The clip, read as its users do with OpenCV, again from its start at its end; or from RAM."""

    def __init__(self, path: Path) -> None:
        self._capture = cv2.VideoCapture(str(path))
        self._path = path
        self._kept: list[np.ndarray[Any, Any]] = []

    def of(self, source: str) -> Iterator[np.ndarray[Any, Any]]:
        """Yield frames without end."""
        if source == "ram":
            return self._from_ram()
        return self._from_clip()

    def _from_clip(self) -> Iterator[np.ndarray[Any, Any]]:
        while True:
            found, image = self._capture.read()
            if found:
                yield image
            elif not self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0):
                raise OSError(f"{self._path}: cannot be read again from its start")

    def kept(self) -> list[np.ndarray[Any, Any]]:
        """Return the frames that are held in RAM, read when they are first asked for."""
        if not self._kept:
            clip = self._from_clip()
            for _ in range(RAM_FRAMES):
                self._kept.append(next(clip).copy())
                for _ in range(3):  # so that they come from all of the clip
                    next(clip)
        return self._kept

    def _from_ram(self) -> Iterator[np.ndarray[Any, Any]]:
        while True:
            yield from self.kept()


class Loop:
    """A peer that takes one frame after the other on one thread: read, detect, read, detect.

    Args:
        folder: Has `clip.mp4`.
        versions: Of what does the work.
        detect: Returns the labels of what it finds in an image.
    """

    def __init__(
        self, folder: Path, versions: str, detect: Callable[[np.ndarray[Any, Any]], list[str]]
    ) -> None:
        self.versions = versions
        self.labels = detect
        self._frames = Frames(folder / "clip.mp4")

    def run(self, source: str, *, lead: int, frames: int) -> Window:
        """See `Peer.run`."""
        images = self._frames.of(source)
        for _ in range(lead):
            self.labels(next(images))
        found, started_s, cpu_s = 0, time.perf_counter(), time.process_time()
        for _ in range(frames):
            found += len(self.labels(next(images)))
        return Window(frames, time.perf_counter() - started_s, time.process_time() - cpu_s, found)


def serve(open_peer: Callable[[Path, str], Peer]) -> int:
    """Answer requests from stdin until it closes.

    The arguments are the folder, a variant and the file descriptor of the answers: stdout is what
    libraries print to.
    """
    folder, variant = Path(sys.argv[1]), sys.argv[2]
    answers = os.fdopen(int(sys.argv[3]), "w", buffering=1, encoding="utf-8")

    def answer(content: dict[str, Any]) -> None:
        answers.write(json.dumps(content) + "\n")

    try:
        peer = open_peer(folder, variant)
        peer.run("clip", lead=0, frames=1)
        answer({"ready": peer.versions})
        for line in sys.stdin:
            answer(_answer(peer, json.loads(line)))
    except Exception as error:  # noqa: BLE001 - whatever a peer fails with is its row in the table
        answer({"failed": _sentence(error)})
        return 1
    return 0


def _answer(peer: Peer, request: dict[str, Any]) -> dict[str, Any]:
    if "image" in request:
        image = cv2.imread(request["image"])
        if image is None:
            raise OSError(f"{request['image']}: no image that can be read")
        return {"labels": sorted(set(peer.labels(image)))}
    window = peer.run(request["source"], lead=request["lead"], frames=request["run"])
    return {**window._asdict(), "rss_mib": resident_mib()}


def resident_mib() -> float:
    """Return this process' resident set, MiB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise OSError("/proc/self/status has no VmRSS")


def _sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines() or ["no reason given"]
    return f"{type(error).__name__}: {lines[0]}"
