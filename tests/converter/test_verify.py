"""The bill counts what it says, and the budget judges it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converter.verify import (
    Bill,
    Budget,
    HeadRow,
    as_json,
    as_text,
    box_ious,
    count_matches,
    faults,
)
from edge.detections import Detections
from edge.manifest import Accuracy

GRID = 40


def bill(*, matched=98, expected=100, difference=None):
    rows = ()
    if difference is not None:
        value = 0.3 + difference
        rows = (
            Accuracy(metric="mAP50-95", dataset="d", images=9, float_value=0.3,
                     quantized_value=value, difference=difference,
                     difference_interval=(difference - 0.01, difference + 0.01)),
        )  # fmt: skip
    heads = (HeadRow("boxes", 0.999, 25.0, 0.5),)
    return Bill(2**20, 2**19, 9, heads, matched, expected, rows)


def detections(*rows):
    boxes, scores, ids = zip(*rows, strict=True) if rows else ((), (), ())
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32),
        np.array(ids, np.int32),
    )  # fmt: skip


@st.composite
def boxes(draw):
    side = st.integers(0, GRID)
    x, y = sorted([draw(side), draw(side)]), sorted([draw(side), draw(side)])
    return [x[0], y[0], x[1], y[1]]


@given(first=boxes(), second=boxes())
def test_iou_equals_that_of_painted_pixels(first, second):
    painted = np.zeros((2, GRID, GRID), bool)
    for layer, (x0, y0, x1, y1) in zip(painted, (first, second), strict=True):
        layer[y0:y1, x0:x1] = True
    union = (painted[0] | painted[1]).sum()
    expected = (painted[0] & painted[1]).sum() / union if union else 0.0

    (found,) = box_ious(np.array(first, np.float32), np.array([second], np.float32))

    assert found == pytest.approx(expected)


def test_each_detection_is_found_again_by_one_of_its_own():
    box = (0, 0, 100, 100)
    wanted = detections((box, 0.9, 1), (box, 0.8, 1))
    everything = np.array([True, True])

    assert count_matches(wanted, detections((box, 0.9, 1)), everything) == 1
    assert count_matches(wanted, detections((box, 0.9, 1), (box, 0.3, 1)), everything) == 2
    assert count_matches(wanted, detections((box, 0.9, 2)), everything) == 0
    assert count_matches(wanted, detections(((0, 0, 100, 89), 0.9, 1)), everything) == 0
    assert count_matches(wanted, detections(), everything) == 0


@pytest.mark.parametrize(
    ("case", "is_fine"),
    [
        (bill(matched=98), True),
        (bill(matched=97), False),
        (bill(matched=0, expected=0), True),
        (bill(matched=50, difference=-0.004), True),
        (bill(matched=100, difference=-0.006), False),
        (bill(matched=50, difference=0.006), True),
    ],
    ids=["at budget", "below", "nothing seen", "labels outweigh", "mAP falls", "mAP rises"],
)
def test_the_budget_judges_by_labels_where_there_are_any_else_by_agreement(case, is_fine):
    found = faults(case, Budget(agreement=0.98, accuracy_loss=0.005))

    assert (not found) == is_fine


def test_the_bill_reads_as_a_table_and_as_json():
    text = as_text(bill(difference=-0.004))

    assert text.splitlines() == [
        "size        1.00 MiB float, 0.50 MiB quantised",
        "output  cosine   SNR dB  max error",
        "------  -------  ------  ---------",
        "boxes   0.99900  25.0    0.5",
        "detections  98 of 100 found again (98.0%) on 9 images",
        (
            "mAP50-95    0.3000 float, 0.2960 quantised, difference -0.0040 [-0.0140, +0.0060] "
            "on 9 images"
        ),
    ]
    assert as_json(bill(), Budget())["agreement"] == 0.98
