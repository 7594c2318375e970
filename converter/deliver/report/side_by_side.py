"""Float and quantised model side by side on the same judged images, the worst first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from converter.deliver.report.contents import Picture
from converter.judge.agreement import FOUND_RATIO
from converter.judge.bill import SEGMENTATION
from converter.judge.sight import Sight
from edge.capture.images import load_image
from edge.draw.boxes import annotate_inplace
from edge.draw.lettering import printable
from edge.draw.masks import overlay_inplace
from edge.results.detections import Detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from converter.deliver.report.contents import Subject
    from converter.judge.bill import Bill, ImageRow
    from converter.judge.sight import Seen
    from edge.terminal.progress import Progress

WORST_COUNT = 4
TYPICAL_COUNT = 2
PARTNER_IOU = 0.5
PANEL_SIDE_PX = 440
GAP_PX = 8
STRIP_PX = 24
JPEG_QUALITY = 85
PAPER = (255, 255, 255)
INK = (40, 40, 40)


def choose_images(bill: Bill) -> list[tuple[str, ImageRow]]:
    """Return the images worth a look, each with the word for why: `worst` first, then `typical`.

    Typical are those in the middle of what is left, of images on which the float model sees
    something, while there are any.
    """
    rows = sorted(bill.images, key=_disagreement, reverse=True)
    worst = [row for row in rows if _disagreement(row) > 0][:WORST_COUNT]
    rest = [row for row in rows if row not in worst]
    telling = [row for row in rest if not row.is_blank] or rest
    middle = max(0, (len(telling) - TYPICAL_COUNT) // 2)
    typical = telling[middle : middle + TYPICAL_COUNT]
    return [*(("worst", row) for row in worst), *(("typical", row) for row in typical)]


def _disagreement(row: ImageRow) -> float:
    """Return detections lost and new; of masks, their distance."""
    if row.expected or row.extra:
        return row.expected - row.matched + row.extra
    return row.distance


def draw_side_by_side(
    subject: Subject, chosen: Sequence[tuple[str, ImageRow]], *, progress: Progress | None = None
) -> tuple[Picture, ...]:
    """Run both models once more on the chosen images and draw what each sees.

    Raises:
        SourceError: An image cannot be read.
    """
    sights = [Sight(subject.reference), Sight(subject.quantized)]
    described = subject.reference.own_manifest()
    background = getattr(described.head, "background", None)
    titles = ("float", subject.quantized.own_manifest().provenance.recipe)
    sure, pictures = described.score_threshold, []
    for number, (why, row) in enumerate(chosen, start=1):
        image = load_image(row.path)
        first, second = (sight.look(image).seen for sight in sights)
        panels = [
            _panel(image, seen, described.labels, background=background, title=title)
            for seen, title in zip(_sure(first, second, sure), titles, strict=True)
        ]
        data = _jpeg(_joined(panels))
        caption = f"{why}: {_describe(subject.bill, row)}"
        pictures.append(Picture(f"compare-{number:02}.jpg", data, caption))
        if progress:
            progress(number, len(chosen))
    return tuple(pictures)


def _describe(bill: Bill, row: ImageRow) -> str:
    if bill.head == SEGMENTATION:
        return f"distance {row.distance:.4f}"
    if row.is_blank:
        return f"the float model sees nothing, {row.extra} new"
    return f"{row.matched} of {row.expected} detections found again, {row.extra} new"


def _sure(first: Seen, second: Seen, sure: float) -> tuple[Seen, Seen]:
    """Leave out the unsure detections, but for the partners of sure ones of the other model."""
    if not isinstance(first, Detections) or not isinstance(second, Detections):
        return first, second
    return _selected(first, second, sure), _selected(second, first, sure)


def _selected(own: Detections, other: Detections, sure: float) -> Detections:
    keep = own.scores >= sure  # (N,)
    partners = own.scores >= FOUND_RATIO * sure
    for index in np.flatnonzero(other.scores >= sure):
        ious = box_ious(other.boxes[index], own.boxes)  # (N,)
        is_same = own.class_ids == other.class_ids[index]
        keep |= partners & (ious >= PARTNER_IOU) & is_same
    return Detections(own.boxes[keep], own.scores[keep], own.class_ids[keep])


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


def _panel(
    image: NDArray[np.uint8],
    seen: Seen,
    labels: Sequence[str],
    *,
    background: int | None,
    title: str,
) -> NDArray[np.uint8]:
    """Return the image, at most `PANEL_SIDE_PX` long, with what was seen, below a strip of text.

    Drawn after the resize, so that lines and letters keep their size.
    """
    ratio = PANEL_SIDE_PX / max(image.shape[:2])
    size_wh = [max(1, round(side * ratio)) for side in (image.shape[1], image.shape[0])]
    drawn = cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA).astype(np.uint8)
    if isinstance(seen, Detections):
        scaled = Detections(seen.boxes * np.float32(ratio), seen.scores, seen.class_ids)
        annotate_inplace(drawn, scaled, labels)
    else:
        overlay_inplace(drawn, seen, labels, background=background)
    strip = np.full((STRIP_PX, drawn.shape[1], 3), PAPER, np.uint8)
    origin = (2, STRIP_PX - 8)
    cv2.putText(strip, printable(title), origin, cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1, cv2.LINE_AA)
    return np.vstack([strip, drawn])


def _joined(panels: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    gap = np.full((panels[0].shape[0], GAP_PX, 3), PAPER, np.uint8)
    return np.hstack([panels[0], gap, panels[1]])


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()
