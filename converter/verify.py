"""Compare a quantised model with its float model, through the runtime's own path: the bill."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.images import read_image
from edge.detector import Detector
from edge.errors import ModelError
from edge.input_buffer import InputBuffer
from edge.table import render

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from calibration.progress import Progress
    from edge.detections import Detections
    from edge.manifest import Accuracy, ModelFile

MIB = 2**20
# A float detection at or above this score must be found again ...
FLOAT_SCORE = 0.5
# ... by one of the same class, this near, whose score int8 may have pushed below 0.5 but not far.
MIN_IOU = 0.9
QUANTIZED_SCORE = 0.25
# What a conversion may lose unless it is told otherwise. Measured on SSDLite-MobileNetV2 with three
# draws of images: an agreement of 0.95 to 0.98 goes with less than 0.2 points of mAP50-95 lost.
MIN_AGREEMENT = 0.93
MAX_ACCURACY_LOSS = 0.005


@dataclass(frozen=True, slots=True)
class Budget:
    """What a quantised model may lose.

    Attributes:
        agreement: Least share of float detections that it must find again.
        accuracy_loss: Most mAP50-95 that it may lose; judged instead where labels were given.
    """

    agreement: float = MIN_AGREEMENT
    accuracy_loss: float = MAX_ACCURACY_LOSS


@dataclass(frozen=True, slots=True)
class HeadRow:
    """One output of both models over all images.

    Attributes:
        cosine: Of the two heads as vectors.
        snr_db: Power of the float head over that of the difference.
        max_error: Greatest absolute difference, in the head's own unit.
    """

    role: str
    cosine: float
    snr_db: float
    max_error: float


@dataclass(frozen=True, slots=True)
class Bill:
    """What quantisation cost.

    Attributes:
        matched: Float detections of at least `FLOAT_SCORE` that the quantised model found again.
        expected: All of them.
        accuracy: Against labels, where there were any.
    """

    float_bytes: int
    quantized_bytes: int
    images: int
    heads: tuple[HeadRow, ...]
    matched: int
    expected: int
    accuracy: tuple[Accuracy, ...] = field(default=())

    @property
    def agreement(self) -> float:
        """Return the share of float detections found again; 1 where there were none."""
        return self.matched / self.expected if self.expected else 1.0


def compare(
    reference: ModelFile,
    quantized: ModelFile,
    images: Sequence[Path],
    *,
    progress: Progress | None = None,
) -> Bill:
    """Run both models on the images and return the bill, without labels.

    Raises:
        ModelError: The models have different heads.
        SourceError: An image cannot be read.
    """
    first = Detector(reference, score_threshold=QUANTIZED_SCORE)
    second = Detector(quantized, score_threshold=QUANTIZED_SCORE)
    sums = {role: _Sums(floor=_floor(role, second)) for role in _shared_roles(first, second)}
    matched = expected = 0
    for done, path in enumerate(images, start=1):
        image = read_image(path)
        heads, wanted = _run(first, image)
        quantized_heads, found = _run(second, image)
        for role, total in sums.items():
            total.add(heads[role], quantized_heads[role])
        is_sure = wanted.scores >= FLOAT_SCORE
        expected += int(is_sure.sum())
        matched += count_matches(wanted, found, is_sure)
        if progress:
            progress(done, len(images))
    return Bill(
        float_bytes=len(reference.flatbuffer),
        quantized_bytes=len(quantized.flatbuffer),
        images=len(images),
        heads=tuple(total.row(role) for role, total in sums.items()),
        matched=matched,
        expected=expected,
    )


def count_matches(wanted: Detections, found: Detections, selected: NDArray[np.bool_]) -> int:
    """Return how many of the selected `wanted` have a partner of their own among `found`."""
    is_free = np.ones(len(found), bool)
    count = 0
    for index in np.flatnonzero(selected):
        ious = box_ious(wanted.boxes[index], found.boxes)  # (N,)
        ious[(found.class_ids != wanted.class_ids[index]) | ~is_free] = 0
        if len(ious) and ious.max() >= MIN_IOU:
            is_free[ious.argmax()] = False
            count += 1
    return count


def box_ious(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the IoU of one xyxy box with each of `(N, 4)`; 0 where both are empty."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1, dtype=np.float64)  # (N,)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1, dtype=np.float64)
    united = areas + float((box[2:] - box[:2]).prod(dtype=np.float64)) - shared
    ious: NDArray[np.float64] = np.zeros(len(boxes))
    np.divide(shared, united, out=ious, where=united > 0)
    return ious


def faults(bill: Bill, budget: Budget) -> list[str]:
    """Return how the bill exceeds the budget, a sentence each; empty when it does not."""
    losses = [-row.difference for row in bill.accuracy if row.metric == "mAP50-95"]
    if losses:
        return [
            f"mAP50-95 falls by {loss:.4f}, the budget is {budget.accuracy_loss:.4f}"
            for loss in losses
            if loss > budget.accuracy_loss
        ]
    if bill.agreement < budget.agreement:
        return [
            (
                f"{bill.matched} of {bill.expected} float detections are found again "
                f"({bill.agreement:.1%}), the budget is {budget.agreement:.1%}"
            )
        ]
    return []


def as_json(bill: Bill, budget: Budget) -> dict[str, Any]:
    """Return the bill ready for JSON."""
    fields = asdict(bill)
    fields["accuracy"] = [row.model_dump(mode="json") for row in bill.accuracy]
    return {**fields, "agreement": bill.agreement, "faults": faults(bill, budget)}


def as_text(bill: Bill) -> str:
    """Return the bill for a terminal."""
    rows = [
        [head.role, f"{head.cosine:.5f}", f"{head.snr_db:.1f}", f"{head.max_error:.3g}"]
        for head in bill.heads
    ]
    lines = [
        (
            f"size        {bill.float_bytes / MIB:.2f} MiB float, "
            f"{bill.quantized_bytes / MIB:.2f} MiB quantised"
        ),
        render(["output", "cosine", "SNR dB", "max error"], rows),
        (
            f"detections  {bill.matched} of {bill.expected} found again ({bill.agreement:.1%}) "
            f"on {bill.images} images"
        ),
    ]
    for row in bill.accuracy:
        low, high = row.difference_interval
        lines.append(
            f"{row.metric:<11} {row.float_value:.4f} float, {row.quantized_value:.4f} quantised, "
            f"difference {row.difference:+.4f} [{low:+.4f}, {high:+.4f}] on {row.images} images"
        )
    return "\n".join(lines)


class _Sums:
    """Running sums of one output over images.

    Args:
        floor: Values below it count as it.
    """

    def __init__(self, *, floor: float) -> None:
        self._floor = floor
        self._float = self._quantized = self._product = self._noise = self._max = 0.0

    def add(self, reference: NDArray[np.float32], quantized: NDArray[np.float32]) -> None:
        """Add one image's head, both dequantised."""
        a = np.maximum(reference, self._floor).astype(np.float64)
        b = quantized.astype(np.float64)
        self._float += float((a * a).sum())
        self._quantized += float((b * b).sum())
        self._product += float((a * b).sum())
        self._noise += float(((a - b) ** 2).sum())
        self._max = max(self._max, float(np.abs(a - b).max(initial=0.0)))

    def row(self, role: str) -> HeadRow:
        """Return the figures."""
        norm = math.sqrt(self._float * self._quantized)
        cosine = self._product / norm if norm else 1.0
        snr = (
            10 * math.log10(self._float / self._noise) if self._noise and self._float else math.inf
        )
        return HeadRow(role, cosine, snr, self._max)


def _shared_roles(first: Detector, second: Detector) -> Iterable[str]:
    mine, theirs = first.spec.outputs, second.spec.outputs
    shapes = [{role: spec.shape for role, spec in outputs.items()} for outputs in (mine, theirs)]
    if shapes[0] != shapes[1]:
        raise ModelError(
            f"expected two models with the same outputs, found {shapes[0]} and {shapes[1]}; "
            "give a float model and the one that was made of it"
        )
    return sorted(mine)


def _floor(role: str, quantized: Detector) -> float:
    """Return the least raw score that the quantised head can say; other outputs have no floor.

    A recipe saturates raw scores on purpose where no threshold will ever tell them apart.
    """
    spec = quantized.spec.outputs[role]
    if role != "scores" or spec.dtype.kind == "f":
        return -math.inf
    return (int(np.iinfo(spec.dtype).min) - spec.quant.zero_point) * spec.quant.scale


def _run(
    detector: Detector, image: NDArray[np.uint8]
) -> tuple[dict[str, NDArray[np.float32]], Detections]:
    heads = detector.heads()
    buffer = InputBuffer(detector.spec)
    buffer.fill(image)
    detector.invoke(buffer, out=heads)
    found = detector.suppress(detector.decode(heads), buffer.placement).copy()
    outputs = detector.spec.outputs
    return {role: outputs[role].quant.dequantize(head) for role, head in heads.items()}, found
