"""Time a frame's kernels: preprocess by format; decode (+ suppress) by head; tracking; self-check.

`measure()` is what `scripts/bench` calls; run alone, the module prints its table.
"""

from __future__ import annotations

import math
import time
import timeit
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bench_stages
import cv2
import numpy as np

from edge.capture.picture import PLANAR, Picture
from edge.decode.anchor_free import AnchorFreeGrid, AnchorFreeHead
from edge.decode.decoded import DecodedHead
from edge.decode.detections import DetectionsHead
from edge.decode.instance_masks import PrototypeMasksHead
from edge.decode.segmentation import SegmentationHead
from edge.decode.ssd import SsdHead
from edge.decode.yolo import YoloGrid, YoloHead
from edge.frame import Placement, StageClock
from edge.heads import HEADS
from edge.model.description import Description, InputTransform, Thresholds
from edge.model.quant import Quant
from edge.model.spec import ModelSpec, Tensors, TensorSpec
from edge.preprocess import InputBuffer, use_one_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edge.model.description import HeadSchema


UNLIMITED = float("inf")
ANCHORS, COLUMNS = 1917, 91
SSD_WH, YOLO_WH, LARGE_WH = (300, 300), (416, 416), (640, 640)
CLASSES = 80  # of COCO
YOLO_ROW = 5 + CLASSES
BINS = 16
# Of YOLOv4-tiny, and of YOLOv5's first grids twice: only their number costs time.
YOLO_ANCHORS_PX = ((23.0, 27.0), (37.0, 58.0), (81.0, 82.0))
IOU_THRESHOLD = 0.6
SCORE_QUANT, BOX_QUANT = Quant(0.09, 60), Quant(0.07, 3)
CERTAIN = 127
# Channels of a class map to the most microseconds.
MAP_SIDE, MAP_CHANNELS = 256, {1: UNLIMITED, 2: UNLIMITED, 21: 500.0}
# How much of the input each of the boxes takes in each direction, and the most microseconds.
MASKS, MASK_SIDES = 20, {0.25: 2000.0, 1.0: 2000.0}
PROTOTYPES = 160, 160, 32
REPEATS, CALLS = 15, 100
FRAME_WH = (1280, 720)
# Format, shape of the pixels, and OpenCV's conversion of the whole frame.
FORMATS = (
    ("bgr", (720, 1280, 3), None),
    ("nv12", (1080, 1280), cv2.COLOR_YUV2BGR_NV12),
    ("i420", (1080, 1280), cv2.COLOR_YUV2BGR_I420),
    ("yuyv", (720, 1280, 2), cv2.COLOR_YUV2BGR_YUYV),
    ("grey", (720, 1280), cv2.COLOR_GRAY2BGR),
)
# Most microseconds from such a frame to the input, as it is.
PLANES_LIMIT_US = 250.0
US_PER_S = 1e6


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of heads.

    Attributes:
        name: Of the row; empty for the default model's.
        spec: The contract.
        heads: Makes raw heads in which so many scores reach the threshold.
        limits_us: Number of candidates to the most microseconds, or infinity where it is only
            watched.
    """

    name: str
    spec: ModelSpec
    heads: Callable[[ModelSpec, int], Tensors]
    limits_us: dict[int, float]


def cases() -> list[Case]:
    """Return every kind of heads that is timed."""
    watched = dict.fromkeys((0, 20, 100, 1000), UNLIMITED)
    limited = watched | {100: 200.0}
    return [
        Case(
            "",
            ssd_spec(),
            ssd_heads,
            {0: 100.0, 25: 200.0, 100: 200.0, 400: UNLIMITED, 1000: UNLIMITED},
        ),
        Case("YOLO 2535 x 85, ", _yolo_spec(YOLO_WH, (32, 16)), _yolo_heads, limited),
        Case("YOLO 25200 x 85, ", _yolo_spec(LARGE_WH, (8, 16, 32)), _yolo_heads, watched),
        Case("anchor-free 8400 x 80, ", _anchor_free_spec(), _anchor_free_heads, limited),
        Case("decoded 84 x 8400, ", _decoded_spec((1, 84, 8400)), _decoded_heads, watched),
        Case("decoded 8400 x 84, ", _decoded_spec((1, 8400, 84)), _decoded_heads, watched),
        Case("end-to-end 300 x 6, ", _rows_spec(), _rows_heads, {0: 40.0, 20: 40.0, 100: 40.0}),
    ]


def measure(
    chosen: Sequence[Case] | None = None, *, timer: Callable[[], float] = time.thread_time
) -> list[tuple[str, float, float]]:
    """Return (name, median microseconds of a frame, limit) for each number of candidates.

    Args:
        chosen: The kinds to time; by default all of them, and class maps.
        timer: Seconds; by default those of the thread, which a busy machine changes least.
    """
    rows = []
    for case in cases() if chosen is None else chosen:
        for candidates, limit_us in case.limits_us.items():
            heads = case.heads(case.spec, candidates)
            for work, run, limit in (
                ("decode + suppress", _survivors(case.spec), limit_us),
                ("detections on the source frame", decoding(case.spec), UNLIMITED),
            ):
                name = f"{case.name}{work}, {candidates} candidates"
                rows.append((name, _median_us(run, heads, timer=timer), limit))
    if chosen is not None:
        return rows
    rows += [_segmentation_row(channels, timer=timer) for channels in MAP_CHANNELS]
    rows += [_mask_row(side, timer=timer) for side in MASK_SIDES]
    rows += bench_stages.measure_tracking(timer=timer)
    rows += bench_stages.measure_looks(timer=timer)
    return [*_preprocess_rows(timer=timer), *rows]


def main() -> int:
    """Print the table; return 0, whatever the figures: a busy machine is not a fault."""
    use_one_thread()
    for name, median_us, limit_us in measure():
        limit = f"<= {limit_us:.0f}" if np.isfinite(limit_us) else ""
        print(f"{name:<58} {median_us:8.1f} µs  {limit}")
    return 0


def _decoder(spec: ModelSpec) -> Any:  # noqa: ANN401 - of any kind
    return HEADS[spec.description.head.kind].decoder(spec, Thresholds(score=0.5, iou=IOU_THRESHOLD))


def _survivors(spec: ModelSpec) -> Callable[[Tensors], object]:
    """Return decode and suppression alone, as scripts of earlier revisions time them."""
    decoder = _decoder(spec)

    def run(tensors: Tensors) -> int:
        decoder.find(tensors)
        count: int = decoder.candidates.suppress()
        return count

    return run


def decoding(spec: ModelSpec) -> Callable[[Tensors], object]:
    """Return all that happens to the tensors of one frame that fills the input."""
    decoder = _decoder(spec)
    size_wh = spec.description.input.size_wh
    placement = Placement.fit(size_wh, size_wh, resize="stretch")
    return lambda tensors: decoder.decode(tensors, placement, StageClock())


def _preprocess_rows(*, timer: Callable[[], float]) -> list[tuple[str, float, float]]:
    """Return 720p to the default model's input, of each format, and by way of the whole frame."""
    width, height = FRAME_WH
    whole = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    spec = ssd_spec()
    rows = []
    for name, shape, code in FORMATS:
        pixels = np.resize(whole, shape)
        picture = Picture(pixels, 0, 0, 0, name)
        buffer = InputBuffer(spec)
        text = f"preprocess 720p to {SSD_WH[0]} x {SSD_WH[1]}, {name}"
        limit_us = PLANES_LIMIT_US if name in PLANAR else UNLIMITED
        rows.append((text, _median_us(buffer.fill, picture, timer=timer), limit_us))
        if code is None:
            continue

        def fill(pixels: NDArray[Any], *, code: int = code, buffer: InputBuffer = buffer) -> None:
            buffer.fill(cv2.cvtColor(pixels, code, dst=whole))

        text += ", converted whole first"
        rows.append((text, _median_us(fill, pixels, timer=timer), UNLIMITED))
    return rows


def _segmentation_row(channels: int, *, timer: Callable[[], float]) -> tuple[str, float, float]:
    shape = (1, MAP_SIDE, MAP_SIDE, channels)
    head = SegmentationHead(activation="sigmoid" if channels == 1 else "softmax")
    spec = _spec(head, {"classes": shape}, input_wh=(MAP_SIDE, MAP_SIDE))
    scores = np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)
    name = f"decode, {MAP_SIDE} x {MAP_SIDE} x {channels}"
    median_us = _median_us(decoding(spec), {"classes": scores}, timer=timer)
    return name, median_us, MAP_CHANNELS[channels]


def _mask_row(side: float, *, timer: Callable[[], float]) -> tuple[str, float, float]:
    """Return the time of end-to-end boxes with their masks, each box of this share of a side."""
    height, width, count = PROTOTYPES
    head = PrototypeMasksHead(boxes=DetectionsHead())
    shapes = {"rows": (1, 300, 6 + count), "prototypes": (1, height, width, count)}
    spec = _spec(head, shapes, input_wh=LARGE_WH)
    spec.outputs["rows"] = TensorSpec("rows", 1, shapes["rows"], np.dtype(np.float32), Quant())
    rng = np.random.default_rng(0)
    rows = rng.normal(size=shapes["rows"]).astype(np.float32)
    rows[..., :2] = rng.uniform(0, 1 - side, (1, 300, 2)) * LARGE_WH
    rows[..., 2:4] = rows[..., :2] + np.multiply(LARGE_WH, side)
    rows[..., 4] = np.arange(300) < MASKS
    rows[..., 5] = rng.integers(0, CLASSES, 300)
    raw = rng.integers(-128, 128, shapes["prototypes"]).astype(np.int8)
    name = f"boxes and {MASKS} masks of {height} x {width}, each {side:.0%} of a side"
    median_us = _median_us(decoding(spec), {"rows": rows, "prototypes": raw}, timer=timer)
    return name, median_us, MASK_SIDES[side]


def _median_us(run: Callable[[Any], object], heads: Any, *, timer: Callable[[], float]) -> float:  # noqa: ANN401
    run(heads)
    times_s = timeit.repeat(lambda: run(heads), number=CALLS, repeat=REPEATS, timer=timer)
    return float(np.median(times_s)) / CALLS * US_PER_S


def _spec(
    head: HeadSchema,
    shapes: dict[str, tuple[int, ...]],
    *,
    input_wh: tuple[int, int],
    anchors: NDArray[np.float32] | None = None,
    labels: int = CLASSES,
) -> ModelSpec:
    description = Description(
        name="bench",
        digest="",
        input=InputTransform(
            size_wh=input_wh, color="rgb", mean=(0, 0, 0), std=(255, 255, 255), resize="stretch"
        ),
        outputs={role: role for role in shapes},
        head=head,
        labels=tuple(f"class {number}" for number in range(labels)),
        anchors=anchors,
    )
    int8 = np.dtype(np.int8)
    outputs = {
        role: TensorSpec(
            role, 1, shape, int8, BOX_QUANT if role.startswith("boxes") else SCORE_QUANT
        )
        for role, shape in shapes.items()
    }
    image = TensorSpec("image", 0, (1, *reversed(input_wh), 3), int8, Quant(1 / 255, -128))
    return ModelSpec(description, image, outputs)


def ssd_spec(anchors: int = ANCHORS, columns: int = COLUMNS) -> ModelSpec:
    """Return a head of so many anchors and score columns, the background's among them."""
    rng = np.random.default_rng(0)
    # Five sizes of anchors, as a net of several feature maps has them.
    sides = rng.choice([0.1, 0.2, 0.35, 0.55, 0.8], (anchors, 2))
    placed = np.concatenate([rng.random((anchors, 2)), sides], axis=1).astype(np.float32)
    shapes = {"boxes": (1, anchors, 4), "scores": (1, anchors, columns)}
    return _spec(SsdHead(), shapes, input_wh=SSD_WH, anchors=placed, labels=columns - 1)


def _yolo_spec(input_wh: tuple[int, int], strides_px: tuple[int, ...]) -> ModelSpec:
    """Return a head with each grid's boxes, objectness and classes in one output."""
    shapes = {
        f"raw{stride}": (
            1,
            input_wh[1] // stride,
            input_wh[0] // stride,
            len(YOLO_ANCHORS_PX) * YOLO_ROW,
        )
        for stride in strides_px
    }
    grids = tuple(
        YoloGrid(boxes=role, objectness=role, scores=role, anchors_px=YOLO_ANCHORS_PX)
        for role in shapes
    )
    return _spec(YoloHead(grids=grids), shapes, input_wh=input_wh)


def _anchor_free_spec() -> ModelSpec:
    """Return a head as YOLOv8 has it."""
    shapes: dict[str, tuple[int, ...]] = {}
    grids = []
    for stride in (8, 16, 32):
        cells = (1, LARGE_WH[1] // stride, LARGE_WH[0] // stride)
        shapes |= {f"boxes{stride}": (*cells, 4 * BINS), f"scores{stride}": (*cells, CLASSES)}
        grids.append(
            AnchorFreeGrid(boxes=f"boxes{stride}", scores=f"scores{stride}", stride_px=stride)
        )
    head = AnchorFreeHead(grids=tuple(grids), boxes="distribution", bins=BINS)
    return _spec(head, shapes, input_wh=LARGE_WH)


def _decoded_spec(shape: tuple[int, ...]) -> ModelSpec:
    """Return a head as YOLOv8 has it behind its own decode, in shares of the input."""
    return _spec(DecodedHead(units="ratios"), {"rows": shape}, input_wh=LARGE_WH)


def _rows_spec() -> ModelSpec:
    """Return a head as YOLO26 has it, float32, of which nothing is left but to read it."""
    spec = _spec(DetectionsHead(), {"rows": (1, 300, 6)}, input_wh=LARGE_WH)
    spec.outputs["rows"] = TensorSpec("rows", 1, (1, 300, 6), np.dtype(np.float32), Quant())
    return spec


def ssd_heads(spec: ModelSpec, candidates: int) -> Tensors:
    """Return random heads of which so many scores, in ten classes, reach the threshold."""
    rng = np.random.default_rng(candidates)
    shape = spec.outputs["scores"].shape
    _, anchors, columns = shape
    scores = rng.integers(-128, 60, shape).astype(np.int8)
    classes = min(10, columns - 1)
    spots = rng.choice(anchors * classes, candidates, replace=False)
    scores[0, spots // classes, 1 + spots % classes] = rng.integers(60, 128, candidates)
    boxes = rng.integers(-20, 27, (1, anchors, 4)).astype(np.int8)
    return {"boxes": boxes, "scores": scores}


def _yolo_heads(spec: ModelSpec, candidates: int) -> Tensors:
    """Return heads of which so many anchors have an objectness and one class that reach it."""
    rng = np.random.default_rng(candidates)
    rows = {
        role: rng.integers(-128, 60, (math.prod(tensor.shape) // YOLO_ROW, YOLO_ROW)).astype(
            np.int8
        )
        for role, tensor in spec.outputs.items()
    }
    for role, row in _spots(rng, rows, candidates):
        rows[role][row, [4, 5 + rng.integers(10)]] = CERTAIN
        rows[role][row, :4] = 60  # offsets that leave a box of about its anchor's size
    return {role: rows[role].reshape(tensor.shape) for role, tensor in spec.outputs.items()}


def _anchor_free_heads(spec: ModelSpec, candidates: int) -> Tensors:
    """Return heads of which so many cells have one class that reaches the threshold."""
    rng = np.random.default_rng(candidates)
    heads = {
        role: rng.integers(-128, 60, (math.prod(tensor.shape[:3]), tensor.shape[3])).astype(np.int8)
        for role, tensor in spec.outputs.items()
    }
    scores = {role: rows for role, rows in heads.items() if role.startswith("scores")}
    for role, row in _spots(rng, scores, candidates):
        scores[role][row, rng.integers(10)] = CERTAIN
    return {role: heads[role].reshape(tensor.shape) for role, tensor in spec.outputs.items()}


def _decoded_heads(spec: ModelSpec, candidates: int) -> Tensors:
    """Return boxes of which so many have one class that reaches the threshold."""
    rng = np.random.default_rng(candidates)
    shape = spec.outputs["rows"].shape
    raw = rng.integers(-128, SCORE_QUANT.zero_point, shape).astype(np.int8)
    rows = raw[0] if shape[1] > shape[2] else raw[0].T  # (8400, 84)
    chosen = rng.choice(len(rows), candidates, replace=False)
    rows[chosen, 4 + rng.integers(10, size=candidates)] = CERTAIN
    return {"rows": raw}


def _rows_heads(spec: ModelSpec, candidates: int) -> Tensors:
    """Return rows by falling score of which so many reach the threshold."""
    rng = np.random.default_rng(candidates)
    rows = np.zeros(spec.outputs["rows"].shape, np.float32)
    low, sides = rng.random((2, *rows.shape[:2], 2)) * 300
    rows[..., :2], rows[..., 2:4] = low, low + sides
    rows[0, :, 4] = 0.4
    rows[0, :candidates, 4] = np.linspace(0.9, 0.6, candidates)
    rows[..., 5] = rng.integers(0, CLASSES, rows.shape[:2])
    return {"rows": rows}


def _spots(rng: np.random.Generator, rows: Tensors, count: int) -> list[tuple[str, int]]:
    """Return so many different (role, row), evenly from all of them."""
    every = [(role, row) for role, values in rows.items() for row in range(len(values))]
    return [every[number] for number in rng.choice(len(every), count, replace=False)]


if __name__ == "__main__":
    raise SystemExit(main())
