"""The bill reads well, and the budget judges it."""

from __future__ import annotations

from pathlib import Path

import pytest

from converter.bill import Bill, HeadRow, ImageRow, as_text, warnings
from converter.gate import Budget, as_json, faults
from edge.model.readers.manifest import Accuracy

pytestmark = pytest.mark.board

HEADS = (HeadRow("boxes", 0.999, 25.0, 0.5),)


def accuracy(metric, difference):
    return Accuracy(
        metric=metric, dataset="d", images=9, float_value=0.3, quantized_value=0.3 + difference,
        difference=difference, difference_interval=(difference - 0.01, difference + 0.01),
    )  # fmt: skip


def bill(*, matched=98, expected=100, extra=2, difference=None, head="ssd"):
    rows = () if difference is None else (accuracy("mAP50-95", difference),)
    images = [
        ImageRow(Path("a.jpg"), matched / expected if expected else 1.0, matched=matched,
                 expected=expected, extra=extra, is_blank=not expected)
    ]  # fmt: skip
    images += [ImageRow(Path(f"{name}.jpg"), 1.0, is_blank=True) for name in range(8)]
    return Bill(head, 2**20, 2**19, HEADS, tuple(images), rows)


def masks(*ious, difference=None):
    images = tuple(ImageRow(Path("a.png"), iou) for iou in ious)
    rows = () if difference is None else (accuracy("mIoU", difference),)
    return Bill("segmentation", 2**20, 2**19, HEADS, images, rows)


@pytest.mark.parametrize(
    ("case", "is_fine"),
    [
        (bill(matched=98), True),
        (bill(matched=97), False),
        (bill(matched=0, expected=0, extra=1), True),
        (bill(matched=0, expected=0, extra=2), False),
        (bill(matched=100, extra=10), True),
        (bill(matched=100, extra=11), False),
        (bill(matched=100, extra=99, difference=0.0), True),
        (bill(matched=50, difference=-0.005), True),
        (bill(matched=100, difference=-0.006), False),
        (bill(matched=50, difference=0.006), True),
        (bill(difference=-0.010, head="yolo"), True),
        (bill(difference=-0.011, head="yolo"), False),
        (bill(difference=-0.010, head="anchor_free"), True),
        (masks(0.99, 0.975), True),
        (masks(0.97, 0.98), False),
        (masks(0.5, difference=-0.005), True),
        (masks(0.99, difference=-0.006), False),
    ],
    ids=[
        "at budget", "below", "nothing seen", "ghosts of nothing", "some new", "ghosts",
        "labels outweigh ghosts",
        "labels outweigh", "mAP falls", "mAP rises", "YOLO",
        "YOLO falls", "anchor-free", "masks agree", "masks differ", "mIoU outweighs", "mIoU falls",
    ],
)  # fmt: skip
def test_the_budget_judges_by_labels_where_there_are_any_else_by_agreement(case, is_fine):
    assert (not faults(case, Budget())) == is_fine


def test_a_loss_asked_for_outweighs_the_heads_own():
    case = bill(difference=-0.02, head="yolo")

    assert faults(case, Budget()) == ["mAP50-95 falls by 0.0200, the budget is 0.0100"]
    assert not faults(case, Budget(accuracy_loss=0.03))


def test_a_float_model_that_sees_nothing_is_warned_of():
    assert warnings(bill(expected=1, matched=1)) == []
    (warning,) = warnings(bill(matched=0, expected=0))
    assert warning.startswith("the float model sees nothing: ")
    assert "check --input, --mean/--std" in warning
    assert as_json(bill(matched=0, expected=0), Budget())["warnings"] == [warning]


def test_the_bill_reads_as_a_table_and_as_json():
    text = as_text(bill(difference=-0.004))

    assert text.splitlines() == [
        "size        1.00 MiB float, 0.50 MiB quantised",
        "output  cosine   SNR dB  max error",
        "------  -------  ------  ---------",
        "boxes   0.99900  25.0    0.5",
        "detections  98 of 100 found again (98.0%), 2 new on 9 images",
        (
            "mAP50-95    0.3000 float, 0.2960 quantised, difference -0.0040 [-0.0140, +0.0060] "
            "on 9 images"
        ),
    ]
    assert as_text(masks(0.99, 0.97)).splitlines()[-1] == (
        "masks       mean IoU 0.9800, worst 0.9700 on 2 images"
    )
    assert as_json(bill(), Budget())["agreement"] == 0.98
    assert as_json(masks(0.9), Budget())["faults"] == [
        "the masks' mean IoU with the float model's is 0.9000, the budget is 0.9800"
    ]
