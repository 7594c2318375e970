"""One frame on its way: where it lies in the input, and what it came with; where the time went."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.results.observation import Look, Observation

Resize = Literal["letterbox", "stretch"]
BufferT = TypeVar("BufferT")
NS_PER_MS = 1e6
# The window's last frames; 4,096 float32 of 6 columns are 96 KiB and 30 s at 136 frames/s.
WINDOW_FRAMES = 4096
AGE = "age"
PERCENTILES = (50.0, 95.0, 99.0)


@dataclass(frozen=True, slots=True)
class Placement:
    """A source frame resized to `region_wh` at `offset_xy` of an input of `input_wh`; pixels."""

    source_wh: tuple[int, int]
    input_wh: tuple[int, int]
    region_wh: tuple[int, int]
    offset_xy: tuple[int, int]

    @property
    def is_whole(self) -> bool:
        """Whether the whole frame lies in the input, which is its only one."""
        return True

    @property
    def invokes(self) -> int:
        """How many invokes the frame takes; with none, what was seen before is told again."""
        return 1

    @classmethod
    def fit(
        cls, source_wh: tuple[int, int], input_wh: tuple[int, int], *, resize: Resize
    ) -> Placement:
        """Place a source in an input: `stretch` fills it, `letterbox` keeps the aspect and centres.

        A letterboxed side is rounded to the nearest pixel and never below one.
        """
        if resize == "stretch":
            return cls(source_wh, input_wh, input_wh, (0, 0))
        ratio = min(input_wh[0] / source_wh[0], input_wh[1] / source_wh[1])
        width = min(input_wh[0], max(1, round(source_wh[0] * ratio)))
        height = min(input_wh[1], max(1, round(source_wh[1] * ratio)))
        offset = ((input_wh[0] - width) // 2, (input_wh[1] - height) // 2)
        return cls(source_wh, input_wh, (width, height), offset)

    def cells(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Return the rows and columns of a grid over the input whose borders lie nearest the frame.

        At least one of each.

        Args:
            shape: Rows and columns of the grid.
        """
        found = []
        for axis, cells in ((1, shape[0]), (0, shape[1])):
            per_input = cells / self.input_wh[axis]
            offset, region = self.offset_xy[axis], self.region_wh[axis]
            # Halves upwards: to even, a region between two halves would lose a cell or win one.
            first = min(math.floor(offset * per_input + 0.5), cells - 1)
            end = max(math.floor((offset + region) * per_input + 0.5), first + 1)
            found.append(slice(first, end))
        return found[0], found[1]

    def boxes_to_source_inplace(self, boxes: NDArray[np.float32]) -> None:
        """Turn xyxy boxes from input pixels into source pixels, clipped to the source frame.

        Args:
            boxes: `(N, 4)` float32, rewritten in place.
        """
        (left, top), (width, height) = self.offset_xy, self.source_wh
        x_ratio, y_ratio = width / self.region_wh[0], height / self.region_wh[1]
        offset, ratio, most = np.array(
            [(left, top) * 2, (x_ratio, y_ratio) * 2, (width, height) * 2], np.float32
        )
        boxes -= offset
        boxes *= ratio
        # As `np.clip`, for 1.4 µs against 2.7, x86, NumPy 2.4.
        np.minimum(boxes, most, out=boxes)
        np.maximum(boxes, 0, out=boxes)


class StageClock:
    """Ascribes the time since its birth, or since the lap before, to a stage.

    Whoever does the work calls `lap` when a stage is over, and never reads a clock itself. A stage
    that is named twice collects both laps.
    """

    def __init__(self) -> None:
        self._stage_ns: dict[str, int] = {}
        self._since_ns = time.monotonic_ns()

    def lap(self, stage: str) -> None:
        """Ascribe the time since the last lap to `stage`."""
        now_ns = time.monotonic_ns()
        self._stage_ns[stage] = self._stage_ns.get(stage, 0) + now_ns - self._since_ns
        self._since_ns = now_ns

    def add(self, stage: str, ns: int) -> None:
        """Ascribe nanoseconds that were measured elsewhere, such as on another thread."""
        self._stage_ns[stage] = self._stage_ns.get(stage, 0) + ns

    def stage_ms(self) -> dict[str, float]:
        """Return the milliseconds of each stage, in the order in which they were first named."""
        return {stage: ns / NS_PER_MS for stage, ns in self._stage_ns.items()}


@dataclass(frozen=True, slots=True)
class Frame(Generic[BufferT]):
    """One frame of a source, prepared for its consumer.

    Attributes:
        buffer: What the frame was filled into, such as an input tensor. Borrowed: it holds until
            the consumer takes its next frame.
        size_wh: Width and height of the source's image, pixels.
        sequence: Number of the frame within the source, from 0, dropped frames counted.
        captured_ns: Monotonic clock (`time.monotonic_ns`): `Picture.captured_ns`.
        captured_utc_ns: Nanoseconds since the Unix epoch, UTC, at that moment; for messages only.
        source_ns: Nanoseconds of the source's own clock: `Picture.source_ns`.
        capture_ns: Nanoseconds of work that giving it took the source; waiting not counted.
        preprocess_ns: Nanoseconds that filling the buffer took.
        camera: Name of the camera.
        dropped: Frames of the camera that were replaced untaken before this one.
        picture: `(h, w, 3)` uint8, B G R, the receiver's to keep; `None` unless somebody has asked
            the capture for pictures.
        look: What the picture is like, where it was looked at.
    """

    buffer: BufferT
    size_wh: tuple[int, int]
    sequence: int
    captured_ns: int
    captured_utc_ns: int
    source_ns: int
    capture_ns: int
    preprocess_ns: int
    camera: str
    dropped: int = 0
    picture: NDArray[np.uint8] | None = None
    look: Look | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """A run so far.

    Attributes:
        frames: Frames decoded.
        elapsed_s: From the first frame taken to the last one decoded, seconds.
        percentiles_ms: Stage, and `age`, to (p50, p95, p99), milliseconds, over those of the last
            `WINDOW_FRAMES` frames that had it.
        invoke_ratio: Share of the elapsed time that an interpreter was at work, the mean of all.
        seen: What the results were, in a few words.
    """

    frames: int
    elapsed_s: float
    percentiles_ms: dict[str, tuple[float, float, float]]
    invoke_ratio: float
    seen: str = ""

    @property
    def rate_hz(self) -> float:
        """Frames a second."""
        return self.frames / self.elapsed_s if self.elapsed_s else 0.0


class StageTimes:
    """Collects the times of each frame, of whatever stages it names; one thread writes.

    A column is made when its stage is first named, and then kept.

    Args:
        interpreters: How many work at the same time.
    """

    def __init__(self, *, interpreters: int = 1) -> None:
        self._interpreters = interpreters
        self._columns_ms: dict[str, NDArray[np.float32]] = {}
        self._frames = 0
        self._invoke_ms = 0.0
        self._started_ns = 0
        self._ended_ns = 0

    def start(self) -> None:
        """Begin the elapsed time; called when the first frame is taken."""
        self._started_ns = self._ended_ns = time.monotonic_ns()

    def add(self, observation: Observation) -> None:
        """Count one frame; a stage that took nothing at all, of a repeated one, was not run."""
        times_ms = {**observation.stage_ms, AGE: observation.age_ms}
        row = self._frames % WINDOW_FRAMES
        for name in times_ms:
            if name not in self._columns_ms:
                self._columns_ms[name] = np.full(WINDOW_FRAMES, np.nan, np.float32)
        for name, column in self._columns_ms.items():
            column[row] = times_ms.get(name) or np.nan
        self._invoke_ms += times_ms["invoke"]
        self._frames += 1
        self._ended_ns = time.monotonic_ns()

    @property
    def frames(self) -> int:
        """How many were counted."""
        return self._frames

    def summary(self) -> Summary:
        """Return the figures so far, the stages in the order in which they were first named."""
        elapsed_s = (self._ended_ns - self._started_ns) / 1e9
        percentiles: dict[str, tuple[float, float, float]] = {}
        # Stable, so that the age stands last.
        for name, column in sorted(self._columns_ms.items(), key=lambda item: item[0] == AGE):
            known = column[~np.isnan(column)]
            if len(known):
                # As np.percentile, which loads numpy.ma for it: 10 ms of the first one, at a stop.
                ranks = np.linspace(0, 100, len(known))
                p50, p95, p99 = np.interp(PERCENTILES, ranks, np.sort(known))
                percentiles[name] = (float(p50), float(p95), float(p99))
        return Summary(
            frames=self._frames,
            elapsed_s=elapsed_s,
            percentiles_ms=percentiles,
            invoke_ratio=self._invoke_ms / 1e3 / elapsed_s / self._interpreters
            if elapsed_s
            else 0.0,
        )
