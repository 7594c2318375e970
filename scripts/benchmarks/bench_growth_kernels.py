"""What decode, suppression and preprocessing cost as heads and frames grow."""

from __future__ import annotations

import timeit
from typing import TYPE_CHECKING

import numpy as np
from bench_growth import Growth, Outcome
from bench_kernels import ANCHORS, COLUMNS, US_PER_S, decoding, ssd_heads, ssd_spec

from edge.model.description import Thresholds
from edge.preprocess import InputBuffer

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_CANDIDATES = Thresholds(score=0.5, iou=0.6).candidates
CALLS = 60
LARGE_ANCHORS, LARGE_COLUMNS = 25200, 81
NS_PER_US = 1e3


def kernels() -> list[Growth]:
    """Return what is timed on heads like those of an SSD model."""
    return [
        Growth(
            "decode + suppress, by candidates up to the cap",
            "µs",
            {str(n): _head_us(ANCHORS, COLUMNS, n) for n in (25, 100, MAX_CANDIDATES)},
            (MAX_CANDIDATES / 25) ** 2,
            "quadratic",
        ),
        Growth(
            "decode + suppress, by candidates beyond the cap",
            "µs",
            {str(n): _head_us(ANCHORS, COLUMNS, n) for n in (MAX_CANDIDATES, 1000)},
            1.5,
            f"only the best {MAX_CANDIDATES} meet each other",
        ),
        Growth(
            "decode + suppress, by classes",
            "µs",
            {str(n): _head_us(ANCHORS, n + 1, 25) for n in (2, 20, 90, 365)},
            2.0,
            "classes are scanned, not decoded",
        ),
        Growth(
            "decode + suppress, by anchors x classes",
            "µs",
            {f"{n} x 80": _head_us(n, LARGE_COLUMNS, 25) for n in (ANCHORS, 8400, LARGE_ANCHORS)},
            LARGE_ANCHORS / ANCHORS,
            "linear",
        ),
        Growth(
            "preprocess, by frame",
            "µs",
            {
                f"{height}p": _fill_us((width, height))
                for width, height in ((854, 480), (1280, 720), (1920, 1080), (3840, 2160))
            },
            1.4,
            "the resize reads what it needs",
        ),
    ]


def per_score(*, rounds: int) -> Outcome:
    """Return the nanoseconds that each score of a large head costs."""
    measure = _head_us(LARGE_ANCHORS, LARGE_COLUMNS, 25)
    scores = LARGE_ANCHORS * LARGE_COLUMNS
    figures = tuple(measure() * NS_PER_US / scores for _ in range(rounds))
    name = "decode + suppress, of each score"
    sizes = f"{LARGE_ANCHORS} x {LARGE_COLUMNS - 1}"
    return Outcome(name, sizes, figures, 0.3, "what compiled code takes", unit="ns")


def _head_us(anchors: int, columns: int, candidates: int) -> Callable[[], float]:
    """Return what times a frame of which so many scores pass."""
    spec = ssd_spec(anchors, columns)
    frame, heads = decoding(spec), ssd_heads(spec, candidates)
    return lambda: timeit.timeit(lambda: frame(heads), number=CALLS) / CALLS * US_PER_S


def _fill_us(size_wh: tuple[int, int]) -> Callable[[], float]:
    width, height = size_wh
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    buffer = InputBuffer(ssd_spec())
    return lambda: timeit.timeit(lambda: buffer.fill(image), number=CALLS) / CALLS * US_PER_S
