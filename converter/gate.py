"""The gate: what a quantised model may lose before it is refused."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from converter.bill import SEGMENTATION, warnings

if TYPE_CHECKING:
    from converter.bill import Bill, HeadRow

MIN_AGREEMENT = 0.98
# Most mAP50-95 or mean IoU lost, by kind of head, where labels were given: what int8 costs a sound
# conversion of each family, so that more is a fault.
ACCURACY_LOSSES = {"ssd": 0.005, "yolo": 0.010, "anchor_free": 0.010, SEGMENTATION: 0.005}
# New sure detections of the quantised model, of the float model's: an agreement of 98 % comes with
# some 2 % whose boxes moved, which count as lost and as new. More is a model that sees ghosts.
MAX_EXTRA_RATIO = 0.1
JUDGED_METRICS = ("mAP50-95", "mIoU")


@dataclass(frozen=True, slots=True)
class Budget:
    """What a quantised model may lose.

    Attributes:
        agreement: Least share of float detections that it must find again, or mean IoU of its masks
            with the float model's.
        accuracy_loss: Most mAP50-95 or mean IoU that it may lose, judged instead where labels were
            given; `None` takes that of `ACCURACY_LOSSES` for the model's head.
    """

    agreement: float = MIN_AGREEMENT
    accuracy_loss: float | None = None

    def loss(self, head: str) -> float:
        """Return the most that a model with this kind of head may lose."""
        return ACCURACY_LOSSES[head] if self.accuracy_loss is None else self.accuracy_loss


def faults(bill: Bill, budget: Budget) -> list[str]:
    """Return how the bill exceeds the budget, a sentence each; empty when it does not."""
    judged = [row for row in bill.accuracy if row.metric in JUDGED_METRICS]
    if judged:
        allowed = budget.loss(bill.head)
        return [
            f"{row.metric} falls by {-row.difference:.4f}, the budget is {allowed:.4f}"
            for row in judged
            if -row.difference > allowed
        ]
    return [*_agreement_faults(bill, budget), *_ghost_faults(bill)]


def _agreement_faults(bill: Bill, budget: Budget) -> list[str]:
    if bill.agreement >= budget.agreement:
        return []
    if bill.head == SEGMENTATION:
        found = f"the masks' mean IoU with the float model's is {bill.agreement:.4f}"
        return [f"{found}, the budget is {budget.agreement:.4f}"]
    sentence = (
        f"{bill.matched} of {bill.expected} float detections are found again "
        f"({bill.agreement:.1%}), the budget is {budget.agreement:.1%}"
    )
    return [sentence]


def _ghost_faults(bill: Bill) -> list[str]:
    allowed = max(1, int(MAX_EXTRA_RATIO * bill.expected))
    if bill.extra <= allowed:
        return []
    sentence = (
        f"{bill.extra} detections are new beside the float model's {bill.expected}, "
        f"expected {allowed} at most"
    )
    return [sentence]


def head_json(row: HeadRow) -> dict[str, Any]:
    """Return one output's figures ready for JSON, which has no infinity: no noise is `null`."""
    return {**asdict(row), "snr_db": row.snr_db if math.isfinite(row.snr_db) else None}


def as_json(bill: Bill, budget: Budget) -> dict[str, Any]:
    """Return the bill and its verdict ready for JSON."""
    return {
        "head": bill.head,
        "float_bytes": bill.float_bytes,
        "quantized_bytes": bill.quantized_bytes,
        "heads": [head_json(row) for row in bill.heads],
        "images": len(bill.images),
        "matched": bill.matched,
        "expected": bill.expected,
        "extra": bill.extra,
        "agreement": bill.agreement,
        "accuracy": [row.model_dump(mode="json") for row in bill.accuracy],
        "warnings": warnings(bill),
        "faults": faults(bill, budget),
    }
