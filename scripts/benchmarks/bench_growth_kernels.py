"""What decode, suppression and preprocessing cost as heads and frames grow."""

from __future__ import annotations

import timeit
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from bench_growth import Growth, Outcome

from edge.decode.ssd import SsdDecoder, SsdHead
from edge.frame import Placement, StageClock
from edge.model.description import Thresholds
from edge.model.loaded import load_model
from edge.preprocess import Preprocessor

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.model.model_file import ModelFile
    from edge.model.spec import ModelSpec

MAX_CANDIDATES, MAX_DETECTIONS = 256, 100
SCORE_THRESHOLD, IOU_THRESHOLD = 0.5, 0.6
ANCHORS, COLUMNS = 1917, 91
CALLS = 60
CERTAIN, BELOW = 120, -60  # raw scores; the built-in model's threshold lies between
LARGE_ANCHORS, LARGE_COLUMNS = 25200, 81
US_PER_S, NS_PER_US = 1e6, 1e3


def kernels(file: ModelFile) -> list[Growth]:
    """Return what is timed on heads like those of an SSD model, quantised as its own are."""
    spec = load_model(file).spec
    if not isinstance(spec.description.head, SsdHead):
        return []

    def head(anchors: int, columns: int, candidates: int) -> Callable[[], float]:
        return _head_us(_sized(spec, anchors, columns), candidates)

    return [
        Growth(
            "decode + suppress, by candidates up to the cap",
            "µs",
            {str(n): head(ANCHORS, COLUMNS, n) for n in (25, 100, MAX_CANDIDATES)},
            (MAX_CANDIDATES / 25) ** 2,
            "quadratic",
        ),
        Growth(
            "decode + suppress, by candidates beyond the cap",
            "µs",
            {str(n): head(ANCHORS, COLUMNS, n) for n in (MAX_CANDIDATES, 1000)},
            1.5,
            f"only the best {MAX_CANDIDATES} meet each other",
        ),
        Growth(
            "decode + suppress, by classes",
            "µs",
            {str(n): head(ANCHORS, n + 1, 25) for n in (2, 20, 90, 365)},
            2.0,
            "classes are scanned, not decoded",
        ),
        Growth(
            "decode + suppress, by anchors x classes",
            "µs",
            {f"{n} x 80": head(n, LARGE_COLUMNS, 25) for n in (ANCHORS, 8400, LARGE_ANCHORS)},
            LARGE_ANCHORS / ANCHORS,
            "linear",
        ),
        Growth(
            "preprocess, by frame",
            "µs",
            {
                f"{height}p": _fill_us(spec, (width, height))
                for width, height in ((854, 480), (1280, 720), (1920, 1080), (3840, 2160))
            },
            1.4,
            "the resize reads what it needs",
        ),
    ]


def per_score(file: ModelFile, *, rounds: int) -> list[Outcome]:
    """Return the nanoseconds that each score of a large head costs."""
    spec = load_model(file).spec
    if not isinstance(spec.description.head, SsdHead):
        return []
    measure = _head_us(_sized(spec, LARGE_ANCHORS, LARGE_COLUMNS), 25)
    scores = LARGE_ANCHORS * LARGE_COLUMNS
    figures = tuple(measure() * NS_PER_US / scores for _ in range(rounds))
    name = "decode + suppress, of each score"
    sizes = f"{LARGE_ANCHORS} x {LARGE_COLUMNS - 1}"
    return [Outcome(name, sizes, figures, 0.3, "what compiled code takes", unit="ns")]


def _sized(spec: ModelSpec, anchors: int, columns: int) -> ModelSpec:
    """Return the contract of a head with other sizes."""
    rng = np.random.default_rng(0)
    sides = rng.choice([0.1, 0.2, 0.35, 0.55, 0.8], (anchors, 2))
    placed = np.concatenate([rng.random((anchors, 2)), sides], axis=1).astype(np.float32)
    outputs = {
        "boxes": replace(spec.outputs["boxes"], shape=(1, anchors, 4)),
        "scores": replace(spec.outputs["scores"], shape=(1, anchors, columns)),
    }
    described = replace(spec.description, anchors=placed)
    return replace(spec, outputs=outputs, description=described)


def _head_us(spec: ModelSpec, candidates: int) -> Callable[[], float]:
    """Return what times a frame of which so many scores pass."""
    rng = np.random.default_rng(candidates)
    _, anchors, columns = spec.outputs["scores"].shape
    scores = np.full((1, anchors, columns), BELOW, np.int8)
    classes = min(10, columns - 1)
    spots = rng.choice(anchors * classes, candidates, replace=False)
    scores[0, spots // classes, 1 + spots % classes] = CERTAIN
    boxes = rng.integers(-20, 27, (1, anchors, 4)).astype(np.int8)
    heads: dict[str, Any] = {"boxes": boxes, "scores": scores}
    decoder = SsdDecoder(spec, Thresholds(SCORE_THRESHOLD, IOU_THRESHOLD, MAX_DETECTIONS))
    size_wh = spec.description.input.size_wh
    placement = Placement.fit(size_wh, size_wh, resize="stretch")

    def frame() -> None:
        decoder.decode(heads, placement, StageClock())

    if decoder.find(heads) != min(candidates, MAX_CANDIDATES):
        raise ValueError(f"expected {candidates} scores to pass, found {decoder.find(heads)}")
    return lambda: timeit.timeit(frame, number=CALLS) / CALLS * US_PER_S


def _fill_us(spec: ModelSpec, size_wh: tuple[int, int]) -> Callable[[], float]:
    width, height = size_wh
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    out = np.zeros(spec.input.shape, spec.input.dtype)
    preprocessor = Preprocessor(
        spec.description.input, quant=spec.input.quant, dtype=spec.input.dtype
    )
    return lambda: (
        timeit.timeit(lambda: preprocessor.fill_input(image, out), number=CALLS) / CALLS * US_PER_S
    )
