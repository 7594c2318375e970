"""The bill reads well, and the gate says one of three things of it, and why."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converter.judge.bill import Bill, HeadRow, ImageRow, Likeness, Loss, as_text
from converter.judge.gate import (
    PASSES,
    REFUSED,
    UNPROVEN,
    Budget,
    as_json,
    estimate,
    is_clear,
    is_good_enough,
    judge,
)

pytestmark = pytest.mark.board

HEADS = (HeadRow("boxes", 0.999, 25.0, 0.5),)
IMAGES = tuple(ImageRow(Path(f"{name}.jpg"), 0.1, 9, 10, 1) for name in range(10))


def loss(difference, half_width=0.001, metric="mAP50-95"):
    return Loss(
        metric, "d", 9, 0.3, 0.3 + difference, difference,
        (difference - half_width, difference + half_width),
    )  # fmt: skip


def bill(distance, *, floor=0.03, spread=0.0, objects=100, head="ssd", accuracy=()):
    """Return a bill whose draws spread evenly so far to either side of the distance."""
    draws = np.column_stack([distance + np.linspace(-spread, spread, 99), np.full(99, floor)])
    return Bill(
        head, 2**20, 2**19, HEADS, IMAGES, Likeness(distance, floor, objects, draws), accuracy
    )


@pytest.mark.parametrize(
    ("case", "value"),
    [
        pytest.param(bill(0.071), PASSES, id="within 2.4 times the floor"),
        pytest.param(bill(0.073), REFUSED, id="beyond"),
        pytest.param(bill(0.065, spread=0.02), UNPROVEN, id="within, but not on every draw"),
        pytest.param(bill(0.08, spread=0.02), REFUSED, id="more likely beyond"),
        pytest.param(bill(0.047, floor=0.0), PASSES, id="a still network has a least floor"),
        pytest.param(bill(0.049, floor=0.0), REFUSED, id="beyond the least floor"),
        pytest.param(bill(1.0, floor=0.5), REFUSED, id="no floor excuses finding nothing"),
        pytest.param(bill(0.4, floor=0.5), PASSES, id="a noisy network"),
        pytest.param(bill(0.6, floor=0.6, head="segmentation"), REFUSED, id="nor other masks"),
        pytest.param(bill(0.035, head="segmentation"), PASSES, id="masks"),
        pytest.param(bill(0.037, head="segmentation"), REFUSED, id="masks beyond"),
        pytest.param(bill(0.01, objects=49), UNPROVEN, id="few objects prove nothing"),
        pytest.param(bill(0.2, objects=49), REFUSED, id="few objects refuse all the same"),
        pytest.param(bill(0.01, objects=20, head="segmentation"), PASSES, id="20 masks will do"),
        pytest.param(bill(math.nan, objects=0), REFUSED, id="nothing is seen"),
        pytest.param(bill(math.nan), REFUSED, id="no number is no pass"),
        pytest.param(
            bill(0.01, accuracy=(loss(math.nan),)), REFUSED, id="nor is it one of labels"
        ),
        pytest.param(bill(0.01, accuracy=(loss(-0.002),)), PASSES, id="labels pass"),
        pytest.param(bill(0.2, accuracy=(loss(-0.002),)), PASSES, id="labels outweigh the floor"),
        pytest.param(bill(0.01, accuracy=(loss(-0.008),)), REFUSED, id="labels refuse"),
        pytest.param(bill(0.01, accuracy=(loss(0.0, 0.02),)), UNPROVEN, id="labels cannot tell"),
        pytest.param(
            bill(0.2, accuracy=(replace(loss(0.0), reference=0.0, candidate=0.0),)), REFUSED,
            id="labels tell nothing of a reference that has nothing right",
        ),
        pytest.param(
            bill(0.2, accuracy=(loss(0.0, 0.02),)), REFUSED,
            id="where labels cannot tell, the floor refuses",
        ),
        pytest.param(
            bill(0.01, accuracy=(loss(0.0), loss(-0.02, metric="mAP50"))), PASSES,
            id="mAP50 is not judged",
        ),
    ],
)  # fmt: skip
def test_the_gate_has_three_values(case, value):
    found = judge(case, Budget())

    assert found.value == value
    assert found.is_refused == (value == REFUSED)


def test_what_is_asked_for_outweighs_the_heads_own():
    assert judge(bill(0.2), Budget(tolerance=10)).value == PASSES
    assert judge(bill(0.2, head="segmentation"), Budget(tolerance=10)).value == PASSES
    assert judge(bill(0.0, accuracy=(loss(-0.02),)), Budget(accuracy_loss=0.03)).value == PASSES


def test_what_is_not_proven_says_how_many_images_would_decide():
    # 0.02 to the limit, an interval of 0.038: the square of 1.9 times as many images.
    (reason,) = judge(bill(0.052, spread=0.04), Budget()).reasons

    assert reason.endswith("; some 26 more images would decide that")
    near = judge(bill(0.072 - 1e-6, spread=0.04), Budget())
    assert near.reasons[-1].endswith("no number of images will decide")
    few = judge(bill(0.01, objects=3), Budget())
    assert few.reasons[-1] == ("only 3 detections to judge by, of fewer than 50 nothing is proven")


def test_a_reference_that_sees_nothing_is_refused_with_the_likely_causes():
    (reason,) = judge(bill(math.nan, objects=0), Budget()).reasons

    assert reason.startswith("the float model sees nothing: expected objects, found no detection")
    for cause in ("--range", "--mean/--std", "colour order", "--labels"):
        assert cause in reason


@pytest.mark.parametrize(
    ("case", "is_so"),
    [
        pytest.param(bill(0.04, floor=math.nan), True, id="within the least floor, none measured"),
        pytest.param(bill(0.05, floor=math.nan), False, id="beyond the least floor"),
        pytest.param(bill(0.04, floor=math.nan, spread=0.01), False, id="beyond it on a draw"),
        pytest.param(bill(0.01, floor=math.nan, objects=49), False, id="of few objects"),
        pytest.param(bill(0.02, floor=math.nan, head="segmentation"), True, id="masks"),
    ],
)
def test_what_any_noise_floor_allows_is_clear_without_one(case, is_so):
    assert is_clear(case, Budget()) is is_so
    if is_so:
        assert judge(case, Budget()).value == PASSES
        assert as_json(case, Budget())["floor"] is None


def test_the_distance_is_told_in_words():
    assert estimate(bill(0.1)).startswith("about 8% of its mAP50-95 lost (2.5 points of a model")
    assert estimate(bill(0.05, head="segmentation")) == ""


def test_the_bill_reads_as_a_table_and_as_json():
    case = bill(0.05, accuracy=(loss(-0.004),))

    assert as_text(case).splitlines() == [
        "size        1.00 MiB before, 0.50 MiB now",
        "output   cosine  SNR dB  max error",
        "------  -------  ------  ---------",
        "boxes   0.99900    25.0        0.5",
        (
            "distance    0.050 from the float model; of that from itself, a quarter of a pixel on: "
            "0.030"
        ),
        "detections  90 of 100 found again (90.0%), 10 new on 10 images",
        (
            "mAP50-95    0.3000 before, 0.2960 now, difference -0.0040 [-0.0050, -0.0030] "
            "on 9 images"
        ),
    ]
    fields = as_json(case, Budget())
    assert (fields["distance"], fields["floor"], fields["objects"]) == (0.05, 0.03, 100)
    assert fields["limit"] == pytest.approx(0.072)
    assert fields["verdict"] == PASSES
    assert as_json(bill(math.nan, objects=0), Budget())["distance"] is None


@pytest.mark.parametrize(
    ("case", "is_fine"),
    [
        pytest.param(bill(0.071), True, id="within"),
        pytest.param(bill(0.073), False, id="beyond"),
        pytest.param(bill(0.065, spread=0.02), False, id="within on two draws of three"),
        pytest.param(bill(0.055, spread=0.02), True, id="within on nine of ten"),
        pytest.param(bill(math.nan, objects=0), True, id="nothing to choose by"),
    ],
)
def test_an_attempt_is_taken_if_it_is_likely_to_pass_on_other_images(case, is_fine):
    assert is_good_enough(case, Budget()) == is_fine
