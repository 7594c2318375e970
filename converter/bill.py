"""What a quantised model costs against its float model: the bill, and how it reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge.terminal.table import render

if TYPE_CHECKING:
    from pathlib import Path

    from edge.model.readers.manifest import Accuracy

MIB = 2**20
SEGMENTATION = "segmentation"


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
class ImageRow:
    """Both models on one image.

    Attributes:
        agreement: In [0, 1]: share of sure float detections found again, 1 where there are none;
            or mean IoU of the masks over the classes that either shows.
        matched: Sure float detections that the quantised model found again.
        expected: All of them.
        extra: Sure detections of the quantised model that the float model has not.
        is_blank: The float model saw nothing here: no sure detection, or a mask of one class.
    """

    path: Path
    agreement: float
    matched: int = 0
    expected: int = 0
    extra: int = 0
    is_blank: bool = False


@dataclass(frozen=True, slots=True)
class Bill:
    """What quantisation cost.

    Attributes:
        head: Kind of the models' head, as in the manifest.
        images: A row each.
        accuracy: Against labels, where there were any.
    """

    head: str
    float_bytes: int
    quantized_bytes: int
    heads: tuple[HeadRow, ...]
    images: tuple[ImageRow, ...]
    accuracy: tuple[Accuracy, ...] = field(default=())

    @property
    def matched(self) -> int:
        """Return the sure float detections found again, of all images."""
        return sum(row.matched for row in self.images)

    @property
    def expected(self) -> int:
        """Return the sure float detections of all images."""
        return sum(row.expected for row in self.images)

    @property
    def extra(self) -> int:
        """Return the sure detections that only the quantised model has, of all images."""
        return sum(row.extra for row in self.images)

    @property
    def agreement(self) -> float:
        """Return the share of float detections found again, or the images' mean IoU of masks.

        1 where nothing was to be found.
        """
        if self.head == SEGMENTATION:
            ious = [row.agreement for row in self.images]
            return sum(ious) / len(ious) if ious else 1.0
        return self.matched / self.expected if self.expected else 1.0


def warnings(bill: Bill) -> list[str]:
    """Return what makes the bill worth little, a sentence each.

    Two models that are fed the wrong pixels agree perfectly.
    """
    if not all(row.is_blank for row in bill.images):
        return []
    seen = "a mask of one class" if bill.head == SEGMENTATION else "no detection of 0.5 or more"
    sentence = (
        f"the float model sees nothing: expected objects, found {seen} on each of the "
        f"{len(bill.images)} images; check --input, --mean/--std, and that the images show what "
        "it knows"
    )
    return [sentence]


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
        _agreement_line(bill),
    ]
    for row in bill.accuracy:
        low, high = row.difference_interval
        lines.append(
            f"{row.metric:<11} {row.float_value:.4f} float, {row.quantized_value:.4f} quantised, "
            f"difference {row.difference:+.4f} [{low:+.4f}, {high:+.4f}] on {row.images} images"
        )
    return "\n".join(lines)


def _agreement_line(bill: Bill) -> str:
    count = len(bill.images)
    if bill.head == SEGMENTATION:
        worst = min((row.agreement for row in bill.images), default=1.0)
        return f"masks       mean IoU {bill.agreement:.4f}, worst {worst:.4f} on {count} images"
    return (
        f"detections  {bill.matched} of {bill.expected} found again ({bill.agreement:.1%}), "
        f"{bill.extra} new on {count} images"
    )
