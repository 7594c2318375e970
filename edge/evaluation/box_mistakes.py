"""Which objects were found, missed or taken for something else, at the score that users see."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.draw.boxes import draw_box_inplace
from edge.evaluation.evaluation import Confusion, Mistakes, worst_first
from edge.evaluation.label_files import library

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.evaluation.truth import BoxTruth

IOU_THRESHOLD = 0.5
BACKGROUND = "(background)"
# B, G, R, and what it means on an image.
FOUND, MISSED, FALSE_ALARM, CONFUSED = (90, 200, 60), (0, 165, 255), (60, 60, 255), (255, 80, 200)
KEYS = {
    FOUND: "found", MISSED: "missed", FALSE_ALARM: "false alarm", CONFUSED: "of another label",
}  # fmt: skip

Row = dict[str, Any]


@dataclass(slots=True)
class ImageMatches:
    """One image's boxes, each in one list: (object, detection) of one label or of two, and alone.

    A missed object has no detection on it, a false alarm lies on no object.
    """

    found: list[tuple[Row, Row]] = field(default_factory=list)
    confused: list[tuple[Row, Row]] = field(default_factory=list)
    missed: list[Row] = field(default_factory=list)
    false_alarms: list[Row] = field(default_factory=list)

    @property
    def mistakes(self) -> int:
        """Number of boxes that are wrong."""
        return len(self.confused) + len(self.missed) + len(self.false_alarms)

    def draw_inplace(
        self, image: NDArray[np.uint8], names: dict[int, str], *, scale: float
    ) -> None:
        """Draw all boxes.

        Args:
            image: `(H, W, 3)` uint8, B G R; drawn on.
            names: Category id to name.
            scale: Of the image, to the pixels that the boxes are in.
        """

        def draw(row: Row, text: str, color: tuple[int, int, int]) -> None:
            x_min, y_min, width, height = (side * scale for side in row["bbox"])
            score = f" {row['score']:.2f}" if "score" in row else ""
            box = x_min, y_min, x_min + width, y_min + height
            draw_box_inplace(image, box, f"{text}{score}", color=color)

        for _, detection in self.found:
            draw(detection, names[detection["category_id"]], FOUND)
        for rows, color in ((self.missed, MISSED), (self.false_alarms, FALSE_ALARM)):
            for row in rows:
                draw(row, names[row["category_id"]], color)
        for row, detection in self.confused:
            wanted, said = (names[each["category_id"]] for each in (row, detection))
            draw(detection, f"{wanted}, not {said}", CONFUSED)


def match_boxes(
    truth: BoxTruth,
    results: Sequence[Row],
    *,
    image_ids: Sequence[int],
    category_ids: Sequence[int],
    score_threshold: float,
) -> dict[int, ImageMatches]:
    """Return image id to matches, of some images and categories, from a score on."""
    chosen = set(category_ids)
    by_image: dict[int, tuple[list[Row], list[Row]]] = defaultdict(lambda: ([], []))
    shown = [row for row in results if row["score"] >= score_threshold]
    for side, rows in enumerate((truth.fields["annotations"], shown)):
        for row in rows:
            if row["category_id"] in chosen:
                by_image[row["image_id"]][side].append(row)
    return {key: _match(*by_image[key]) for key in image_ids}


def _match(objects: list[Row], detections: list[Row]) -> ImageMatches:
    """Match detections with objects of their own label first, then with what is left.

    As COCO does: better scores choose first, of equal ones the earlier; a crowd matches any number
    of its own label, and counts neither way.
    """
    out = ImageMatches()
    shape = len(detections), len(objects)
    is_crowd = np.array([bool(row.get("iscrowd")) for row in objects], bool)  # (O,)
    boxes = ([row["bbox"] for row in rows] for rows in (detections, objects))
    iou = library("pycocotools.mask").iou(*boxes, is_crowd) if all(shape) else ()
    is_near = np.asarray(iou, np.float64).reshape(shape) >= IOU_THRESHOLD  # (D, O)
    labels = (np.array([row["category_id"] for row in rows]) for rows in (detections, objects))
    is_same = np.equal.outer(*labels).reshape(shape)
    is_free, on_crowd = ~is_crowd, (is_near & is_same & is_crowd).any(axis=1)
    left = sorted(range(len(detections)), key=lambda row: -detections[row]["score"])
    for may_match, pairs in ((is_near & is_same, out.found), (is_near & ~is_same, out.confused)):
        rest = []
        for row in left:
            fits = may_match[row] & is_free
            if fits.any():
                best = int(np.where(fits, iou[row], -1).argmax())
                is_free[best] = False
                pairs.append((objects[best], detections[row]))
            elif not on_crowd[row]:
                rest.append(row)
        left = rest
    out.false_alarms += [detections[row] for row in left]
    out.missed += [row for row, free in zip(objects, is_free, strict=True) if free]
    return out


def confusion(
    matches: dict[int, ImageMatches], names: dict[int, str], *, score_threshold: float
) -> Confusion:
    """Count what was taken for what; the last row and column are the background.

    Args:
        matches: Of `match_boxes`.
        names: Category id to name, of the judged ones.
        score_threshold: That they were made with.
    """
    at = {number: position for position, number in enumerate(names)}
    none = len(at)
    counts = np.zeros((none + 1, none + 1), np.int64)
    for image in matches.values():
        for found, detection in [*image.found, *image.confused]:
            counts[at[found["category_id"]], at[detection["category_id"]]] += 1
        for row in image.missed:
            counts[at[row["category_id"]], none] += 1
        for row in image.false_alarms:
            counts[none, at[row["category_id"]]] += 1
    note = f"boxes of score {score_threshold:g} and more, at an IoU of {IOU_THRESHOLD:g} and more"
    return Confusion((*names.values(), BACKGROUND), counts, note)


def worst(matches: dict[int, ImageMatches]) -> tuple[Mistakes, ...]:
    """Return the images with mistakes, the most of them first."""
    return worst_first(
        Mistakes(
            key,
            image.mistakes,
            f"{len(image.missed)} missed, {len(image.false_alarms)} false alarms, "
            f"{len(image.confused)} of another label",
        )
        for key, image in matches.items()
    )
