"""What was found, missed, or taken for something else, on boxes laid out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.evaluation.box_mistakes import BACKGROUND, confusion, match_boxes, worst
from edge.evaluation.truth import BoxTruth

pytest.importorskip("pycocotools", reason="pycocotools is not installed")

CAT, DOG = 1, 2
NAMES = {CAT: "cat", DOG: "dog"}


def truth(*boxes):
    """Return the truth of (image, category, x, is crowd) squares of 10 px."""
    rows = [
        {"id": number, "image_id": image, "category_id": category, "bbox": [x, 0, 10, 10],
         "area": 100, "iscrowd": crowd}
        for number, (image, category, x, crowd) in enumerate(boxes, start=1)
    ]  # fmt: skip
    fields = {
        "images": [{"id": number, "file_name": f"{number}.png"} for number in (1, 2)],
        "annotations": rows,
        "categories": [{"id": number, "name": name} for number, name in NAMES.items()],
    }
    return BoxTruth(Path("set.json"), fields, {})


def found(image, category, x, score=0.9):
    return {"image_id": image, "category_id": category, "bbox": [x, 0, 10, 10], "score": score}


def match(boxes, results):
    return match_boxes(
        truth(*boxes), results, image_ids=[1, 2], category_ids=[CAT, DOG], score_threshold=0.5
    )


def counts(boxes, results):
    table = confusion(match(boxes, results), NAMES, score_threshold=0.5)
    assert table.names == ("cat", "dog", BACKGROUND)
    return table.counts.tolist()


@pytest.mark.parametrize(
    ("boxes", "results", "expected"),
    [
        ([(1, CAT, 0, 0)], [found(1, CAT, 1)], [[1, 0, 0], [0, 0, 0], [0, 0, 0]]),
        ([(1, CAT, 0, 0)], [found(1, DOG, 1)], [[0, 1, 0], [0, 0, 0], [0, 0, 0]]),
        ([(1, CAT, 0, 0)], [found(1, CAT, 8)], [[0, 0, 1], [0, 0, 0], [1, 0, 0]]),
        ([(1, CAT, 0, 0)], [found(2, CAT, 0)], [[0, 0, 1], [0, 0, 0], [1, 0, 0]]),
        ([(1, CAT, 0, 0)], [found(1, CAT, 0, 0.4)], [[0, 0, 1], [0, 0, 0], [0, 0, 0]]),
        ([(1, CAT, 0, 0)], [found(1, CAT, 0), found(1, CAT, 1, 0.8)],
         [[1, 0, 0], [0, 0, 0], [1, 0, 0]]),
        ([(1, CAT, 0, 0)], [found(1, DOG, 0, 0.99), found(1, CAT, 1, 0.6)],
         [[1, 0, 0], [0, 0, 0], [0, 1, 0]]),
        ([(1, CAT, 0, 1)], [found(1, CAT, 0), found(1, CAT, 1)], [[0, 0, 0], [0, 0, 0], [0, 0, 0]]),
        ([(1, CAT, 0, 1)], [found(1, DOG, 0)], [[0, 0, 0], [0, 0, 0], [0, 1, 0]]),
        ([], [], [[0, 0, 0], [0, 0, 0], [0, 0, 0]]),
    ],
    ids=["found", "of another label", "too far", "on another image", "below the score", "twice",
         "the right label goes first", "a crowd", "another label on a crowd", "nothing"],
)  # fmt: skip
def test_each_box_is_counted_once(boxes, results, expected):
    assert counts(boxes, results) == expected


def test_what_is_not_judged_is_left_out():
    matches = match_boxes(
        truth((1, CAT, 0, 0), (2, DOG, 0, 0)), [found(1, CAT, 0), found(1, DOG, 30)],
        image_ids=[1], category_ids=[CAT], score_threshold=0.5,
    )  # fmt: skip

    assert list(matches) == [1]
    assert worst(matches) == ()


def test_the_image_with_most_mistakes_comes_first():
    rows = worst(
        match(
            [(1, CAT, 0, 0), (2, CAT, 0, 0), (2, DOG, 40, 0)],
            [found(1, CAT, 0), found(2, DOG, 0), found(1, DOG, 80)],
        )
    )

    assert [(row.key, row.count, row.text) for row in rows] == [
        (2, 2, "1 missed, 0 false alarms, 1 of another label"),
        (1, 1, "0 missed, 1 false alarms, 0 of another label"),
    ]


def test_the_most_frequent_mistakes_are_listed_by_name():
    table = confusion(
        match([(1, CAT, 0, 0), (2, CAT, 0, 0), (2, DOG, 40, 0)], [found(1, DOG, 0)]), NAMES,
        score_threshold=0.5,
    )  # fmt: skip

    assert table.most() == [
        ("cat", "dog", 1), ("cat", BACKGROUND, 1), ("dog", BACKGROUND, 1),
    ]  # fmt: skip


def test_every_object_and_detection_of_a_real_run_is_counted_once(truth_and_run):
    whole, run = truth_and_run
    matches = match_boxes(
        whole, run.results, image_ids=sorted(whole.files), category_ids=run.match.known_ids(),
        score_threshold=0.5,
    )  # fmt: skip
    table = confusion(matches, whole.category_names(), score_threshold=0.5)

    objects = [row for row in whole.fields["annotations"] if not row["iscrowd"]]
    assert table.counts[:-1].sum() == len(objects)
    shown = [row for row in run.results if row["score"] >= 0.5]
    assert 0 < table.counts[:, :-1].sum() <= len(shown)
    assert np.trace(table.counts) > 0


@pytest.fixture
def truth_and_run(request, box_run):
    return request.getfixturevalue("truth"), box_run
