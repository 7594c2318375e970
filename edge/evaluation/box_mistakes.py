"""Which objects were found, missed or taken for something else, at the score that users see."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.draw.results import draw_box_inplace
from edge.evaluation.evaluation import Confusion, Mistakes, worst_first
from edge.evaluation.judge import BOXES
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
# An object and the detection on it, or one of them alone.
Pair = tuple["Row | None", "Row | None"]


def match_boxes(  # noqa: PLR0913
    truth: BoxTruth,
    results: Sequence[Row],
    *,
    image_ids: Sequence[int],
    category_ids: Sequence[int],
    score_threshold: float,
    key: str = BOXES.key,
) -> dict[int, list[Pair]]:
    """Return image id to what was matched, of some images and categories, from a score on.

    `key` is of a row what is compared: its box, or its mask.
    """
    chosen = set(category_ids)
    by_image: dict[int, tuple[list[Row], list[Row]]] = defaultdict(lambda: ([], []))
    shown = [row for row in results if row["score"] >= score_threshold]
    for side, rows in enumerate((truth.fields["annotations"], shown)):
        for row in rows:
            if row["category_id"] in chosen:
                by_image[row["image_id"]][side].append(row)
    return {number: _match(*by_image[number], key) for number in image_ids}


def _match(objects: list[Row], detections: list[Row], key: str) -> list[Pair]:
    """Match detections with objects of their own label first, then with what is left.

    As COCO does: better scores choose first, of equal ones the earlier; a crowd matches any number
    of its own label, and counts neither way.
    """
    shape = len(detections), len(objects)
    is_crowd = np.array([bool(row.get("iscrowd")) for row in objects], bool)  # (O,)
    shapes = ([row[key] for row in rows] for rows in (detections, objects))
    iou = np.zeros(shape)
    if all(shape):
        iou = library("pycocotools.mask").iou(*shapes, is_crowd)
    is_near = iou >= IOU_THRESHOLD  # (D, O)
    labels = (np.array([row["category_id"] for row in rows]) for rows in (detections, objects))
    is_same = np.equal.outer(*labels).reshape(shape)
    is_free, on_crowd = ~is_crowd, (is_near & is_same & is_crowd).any(axis=1)
    left = sorted(range(len(detections)), key=lambda row: -detections[row]["score"])
    pairs: list[Pair] = []
    for may_match in (is_near & is_same, is_near & ~is_same):
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
    pairs += [(objects[row], None) for row in np.flatnonzero(is_free)]
    return pairs + [(None, detections[row]) for row in left]


def kind_of(pair: Pair) -> tuple[int, int, int]:
    """Return which of the `KEYS` it is."""
    wanted, said = pair
    if wanted is None or said is None:
        return FALSE_ALARM if wanted is None else MISSED
    return FOUND if wanted["category_id"] == said["category_id"] else CONFUSED


def draw_inplace(
    image: NDArray[np.uint8], pairs: list[Pair], names: dict[int, str], *, scale: float
) -> None:
    """Draw what was found and what is wrong, the latter on top.

    Args:
        image: `(H, W, 3)` uint8, B G R; drawn on.
        pairs: Of `match_boxes`.
        names: Category id to name.
        scale: Of the image, to the pixels that the boxes are in.
    """
    for pair in sorted(pairs, key=lambda pair: list(KEYS).index(kind_of(pair))):
        color = kind_of(pair)
        row: Row = pair[1] or pair[0] or {}
        x_min, y_min, width, height = (side * scale for side in row["bbox"])
        text = " ".join([names[row["category_id"]], *([f"{row['score']:.2f}"] if pair[1] else [])])
        if color == CONFUSED and pair[0]:
            text = f"{names[pair[0]['category_id']]}, not {text}"
        draw_box_inplace(image, (x_min, y_min, x_min + width, y_min + height), text, color=color)


def confusion(
    matches: dict[int, list[Pair]], names: dict[int, str], *, score_threshold: float
) -> Confusion:
    """Count what was taken for what; the last row and column are the background.

    Args:
        matches: Of `match_boxes`.
        names: Category id to name, of the judged ones.
        score_threshold: That they were made with.
    """
    at = {number: position for position, number in enumerate(names)}
    counts = np.zeros((len(at) + 1, len(at) + 1), np.int64)
    for pairs in matches.values():
        for pair in pairs:
            counts[tuple(at[row["category_id"]] if row else len(at) for row in pair)] += 1
    note = f"boxes of score {score_threshold:g} and more, at an IoU of {IOU_THRESHOLD:g} and more"
    return Confusion((*names.values(), BACKGROUND), counts, note)


def worst(matches: dict[int, list[Pair]]) -> tuple[Mistakes, ...]:
    """Return the images with mistakes, the most of them first."""
    rows = []
    for key, pairs in matches.items():
        kinds = Counter(map(kind_of, pairs))
        text = (
            f"{kinds[MISSED]} missed, {kinds[FALSE_ALARM]} false alarms, "
            f"{kinds[CONFUSED]} of another label"
        )
        rows.append(Mistakes(key, len(pairs) - kinds[FOUND], text))
    return worst_first(rows)
