"""What a model made of another costs against it: the bill, and how it reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from converter.judge.kinds import Kind, kind_of
from edge.terminal.table import render

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

MIB = 2**20


@dataclass(frozen=True, slots=True)
class HeadRow:
    """One output of both models over the first images.

    Attributes:
        cosine: Of the two heads as vectors.
        snr_db: Power of the reference's head over that of the difference.
        max_error: Greatest absolute difference, in the head's own unit.
    """

    role: str
    cosine: float
    snr_db: float
    max_error: float


@dataclass(frozen=True, slots=True)
class ImageRow:
    """Both models on one image.

    Attributes:
        distance: As `Likeness.distance`, on this image alone; 0 where the reference sees nothing.
        matched: What the reference is sure of and the other model found again: detections at an
            IoU of 0.5, the class of the image.
        expected: All of it.
        extra: What the other model is sure of and the reference has not, sure or unsure.
        is_blank: The reference saw nothing here: nothing sure, or a mask of one class.
    """

    path: Path
    distance: float
    matched: int = 0
    expected: int = 0
    extra: int = 0
    is_blank: bool = False


@dataclass(frozen=True, slots=True)
class Likeness:
    """How far a model sees otherwise than its reference, without labels.

    Attributes:
        distance: `converter.judge.agreement` of the model with the reference, in [0, 1]; NaN where
            the reference sees nothing.
        floor: The same of the reference with itself, the image moved by a quarter of a pixel of the
            input: the mean of several directions; NaN where nobody looked.
        objects: What the reference is sure of, on all images, as `Kind.things` says.
        draws: `(B, 2)` float64, both on as many draws of images; B may be 0.
    """

    distance: float
    floor: float
    objects: int
    draws: NDArray[np.float64] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Loss:
    """One metric of both models against labels, on the same images.

    Attributes:
        metric: Such as `mAP50-95`, in [0, 1].
        images: Their number, N.
        difference: The model's minus the reference's.
        interval: 95 % of the paired bootstrap of the difference over images.
    """

    metric: str
    dataset: str
    images: int
    reference: float
    candidate: float
    difference: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Bill:
    """What a model costs against its reference.

    Attributes:
        head: Kind of the models' head, as in the manifest.
        images: A row each.
        accuracy: Against labels, where there were any.
        figures: What is told beside the distance, by its name.
    """

    head: str
    reference_bytes: int
    candidate_bytes: int
    heads: tuple[HeadRow, ...]
    images: tuple[ImageRow, ...]
    likeness: Likeness
    accuracy: tuple[Loss, ...] = field(default=())
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """How such models are compared."""
        return kind_of(self.head)

    @property
    def matched(self) -> int:
        """Return what was found again, of all images."""
        return sum(row.matched for row in self.images)

    @property
    def expected(self) -> int:
        """Return what the reference is sure of, of all images."""
        return sum(row.expected for row in self.images)

    @property
    def extra(self) -> int:
        """Return what only the other model is sure of, of all images."""
        return sum(row.extra for row in self.images)

    @property
    def judged(self) -> tuple[Loss, ...]:
        """Return the metrics that a verdict rests on."""
        return tuple(row for row in self.accuracy if row.metric in self.kind.metrics)


def as_text(bill: Bill) -> str:
    """Return the bill for a terminal."""
    rows = [
        [head.role, f"{head.cosine:.5f}", f"{head.snr_db:.1f}", f"{head.max_error:.3g}"]
        for head in bill.heads
    ]
    like = bill.likeness
    lines = [
        (
            f"size        {bill.reference_bytes / MIB:.2f} MiB before, "
            f"{bill.candidate_bytes / MIB:.2f} MiB now"
        ),
        render(["output", "cosine", "SNR dB", "max error"], rows),
        (
            f"distance    {like.distance:.3f} from the float model; of that from itself, "
            f"a quarter of a pixel on: {like.floor:.3f}"
        ),
    ]
    if bill.kind.counted:
        name, words = bill.kind.counted
        share = bill.matched / bill.expected if bill.expected else 1.0
        lines.append(
            f"{name:<11} {bill.matched} of {bill.expected} {words} ({share:.1%}), "
            f"{bill.extra} new on {len(bill.images)} images"
        )
    lines += [f"{value:<11.4f} {name}" for name, value in bill.figures.items()]
    for row in bill.accuracy:
        low, high = row.interval
        lines.append(
            f"{row.metric:<11} {row.reference:.4f} before, {row.candidate:.4f} now, "
            f"difference {row.difference:+.4f} [{low:+.4f}, {high:+.4f}] on {row.images} images"
        )
    return "\n".join(lines)
