"""Which objects were found, missed or taken for something else, at the score that users see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.evaluation.evaluation import Confusion, Mistakes, worst_first
from edge.evaluation.judge import judge
from edge.evaluation.truth import BoxTruth

if TYPE_CHECKING:
    from collections.abc import Sequence

IOU_THRESHOLD = 0.5
BACKGROUND = "(background)"

Row = dict[str, Any]


@dataclass(slots=True)
class ImageMatches:
    """One image's boxes, each in one list.

    Attributes:
        found: (object, detection) of the same label.
        confused: (object, detection) of two labels.
        missed: Objects that no detection lies on.
        false_alarms: Detections that lie on no object.
    """

    found: list[tuple[Row, Row]] = field(default_factory=list)
    confused: list[tuple[Row, Row]] = field(default_factory=list)
    missed: list[Row] = field(default_factory=list)
    false_alarms: list[Row] = field(default_factory=list)

    @property
    def mistakes(self) -> int:
        """Number of boxes that are wrong."""
        return len(self.confused) + len(self.missed) + len(self.false_alarms)


def match_boxes(
    truth: BoxTruth,
    results: Sequence[Row],
    *,
    image_ids: Sequence[int],
    category_ids: Sequence[int],
    score_threshold: float,
) -> dict[int, ImageMatches]:
    """Match detections with objects of their own label first, then what is left regardless of it.

    pycocotools matches, at an IoU of 0.5, better scores first; crowds count neither way.

    Args:
        truth: The annotations.
        results: In COCO's result format.
        image_ids: Images to match.
        category_ids: Categories to match.
        score_threshold: Lower scores are left out.

    Returns:
        Image id to matches.
    """
    out = {number: ImageMatches() for number in image_ids}
    chosen = set(category_ids)

    def judged(rows: Sequence[Row]) -> list[Row]:
        return [row for row in rows if row["image_id"] in out and row["category_id"] in chosen]

    left = [row for row in judged(results) if row["score"] >= score_threshold]
    objects = judged(truth.fields["annotations"])
    for same_label in (True, False):
        evaluated = judge(
            BoxTruth(truth.path, {**truth.fields, "annotations": objects}, truth.files), left,
            image_ids=image_ids, category_ids=category_ids, all_areas=False,
            iou_threshold=IOU_THRESHOLD, use_categories=same_label,
        )  # fmt: skip
        pairs, ignored = _pairs(evaluated, left, objects)
        for found, detection in pairs:
            target = out[found["image_id"]]
            (target.found if same_label else target.confused).append((found, detection))
        gone = {id(row) for pair in pairs for row in pair} | {id(row) for row in ignored}
        left = [row for row in left if id(row) not in gone]
        # A crowd only excuses detections of its own label.
        objects = [row for row in objects if id(row) not in gone and not row.get("iscrowd")]
    for row in left:
        out[row["image_id"]].false_alarms.append(row)
    for row in objects:
        out[row["image_id"]].missed.append(row)
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


def _pairs(
    judged: Any,  # noqa: ANN401
    results: list[Row],
    annotations: list[Row],
) -> tuple[list[tuple[Row, Row]], list[Row]]:
    """Return (object, detection) pairs, and detections that lie on a crowd."""
    by_id = {row["id"]: row for row in annotations}
    pairs, ignored = [], []
    for image in filter(None, judged.evalImgs):
        columns = zip(image["dtIds"], image["dtMatches"][0], image["dtIgnore"][0], strict=True)
        for result_id, annotation_id, is_ignored in columns:
            detection = results[int(result_id) - 1]  # loadRes numbers them from 1
            if is_ignored:
                ignored.append(detection)
            elif annotation_id > 0:
                pairs.append((by_id[int(annotation_id)], detection))
    return pairs, ignored
