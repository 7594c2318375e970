"""The gate: how far a model may see otherwise than the one that it was made of.

Without labels it may do no more harm than a few times what the reference does to itself when the
image moves by a quarter of a pixel: that is what anyone's camera does to it all day.
How far is said task by task, in `converter.judge.kinds`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from converter.judge.kinds import kind_of
from edge.benchmark.spread import interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converter.judge.bill import Bill, Loss

# A floor below it is taken for it: measured on a few dozen objects it may be anything.
LEAST_FLOOR = 0.02
# Share of the draws of images that must lie beyond what is allowed for a refusal.
REFUSING_SHARE = 0.5
# Share that must lie within for an attempt to be taken: it will be judged on other images.
SURE_SHARE = 0.75
# What may be lost of the metric that labels are judged by, where they tell.
ACCURACY_LOSS = 0.005
# More images than that will not be had for one more word of proof.
MOST_IMAGES = 10_000

Value = Literal["passes", "passes, not proven", "refused"]
PASSES: Value = "passes"
UNPROVEN: Value = "passes, not proven"
REFUSED: Value = "refused"


@dataclass(frozen=True, slots=True)
class Budget:
    """What a model may lose against its reference.

    Attributes:
        tolerance: Times the noise floor that its distance may be; `None` is that of its head.
        accuracy_loss: Most that it may lose of `Kind.metrics`, where labels are given.
    """

    tolerance: float | None = None
    accuracy_loss: float = ACCURACY_LOSS

    def times(self, head: str) -> float:
        """Return how many times the noise floor are allowed for this kind of head."""
        if self.tolerance is not None:
            return self.tolerance
        return kind_of(head).times

    def limit(self, bill: Bill) -> float:
        """Return the greatest distance allowed."""
        return float(self.limits(bill, np.array([bill.likeness.floor]))[0])

    def limits(self, bill: Bill, floors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the greatest distance that each noise floor allows; one that is NaN, the least."""
        times = self.times(bill.head) * np.fmax(floors, LEAST_FLOOR)
        return np.minimum(times, bill.kind.most if self.tolerance is None else math.inf)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says.

    Attributes:
        value: Only `refused` keeps a model from being delivered.
        reasons: Sentences.
    """

    value: Value
    reasons: tuple[str, ...]

    @property
    def is_refused(self) -> bool:
        """Whether the model is not to be delivered."""
        return self.value == REFUSED

    def __str__(self) -> str:
        return f"{self.value}: {'; '.join(self.reasons)}"


def judge(bill: Bill, budget: Budget) -> Verdict:
    """Return the verdict: by labels where they can tell, else by the noise floor.

    A model that the floor refuses does not pass because labels of few images cannot tell.
    """
    like = bill.likeness
    if not like.objects:
        return Verdict(REFUSED, (_blindness(bill),))
    unlabelled = _by_floor(bill, budget)
    found = unlabelled
    # Where the reference has nothing right there is nothing to lose, and labels tell nothing.
    labelled = [_by_labels(row, budget) for row in bill.judged if row.reference > 0]
    if labelled:
        reasons = tuple(reason for one in labelled for reason in one.reasons)
        values = {one.value for one in labelled}
        if REFUSED in values:
            return Verdict(REFUSED, reasons)
        if values == {PASSES}:
            found = Verdict(PASSES, reasons)
        else:
            value = REFUSED if unlabelled.is_refused else UNPROVEN
            found = Verdict(value, (*reasons, *unlabelled.reasons))
    least = bill.kind.least
    if found.value == PASSES and like.objects < least:
        few = (
            f"only {like.objects} {bill.kind.things} to judge by, of fewer than {least} nothing is "
            "proven"
        )
        return Verdict(UNPROVEN, (*found.reasons, few))
    return found


def drawn_excess(bill: Bill, budget: Budget) -> NDArray[np.float64]:
    """Return by how much each draw's distance exceeds what is allowed; the whole set's is first.

    Returns:
        `(1 + B,)`, below 0 where it does not.
    """
    like = bill.likeness
    rows = np.vstack([[like.distance, like.floor], like.draws])  # (1 + B, 2)
    excess: NDArray[np.float64] = rows[:, 0] - budget.limits(bill, rows[:, 1])
    return excess


def is_good_enough(bill: Bill, budget: Budget) -> bool:
    """Return whether a model is likely to pass on other images, as far as these can tell.

    By images that show nothing, nothing can be told.
    """
    if not bill.likeness.objects:
        return True
    excess = drawn_excess(bill, budget)
    return bool(excess[0] <= 0 and np.mean(excess <= 0) >= SURE_SHARE)


def is_clear(bill: Bill, budget: Budget) -> bool:
    """Return whether a model is so near that neither its noise floor nor more images would tell.

    So is one within what any floor allows, on every draw of images.
    """
    enough = bill.likeness.objects >= bill.kind.least
    return enough and bool((drawn_excess(bill, budget) <= 0).all())


def estimate(bill: Bill) -> str:
    """Return what the distance means in words; empty where that is not known."""
    distance = bill.likeness.distance
    return "" if math.isnan(distance) else bill.kind.loss(distance)


def _by_floor(bill: Bill, budget: Budget) -> Verdict:
    like, limit = bill.likeness, budget.limit(bill)
    if limit == bill.kind.most:
        reason = "the most, however much the float model's own noise"
    else:
        reason = f"{budget.times(bill.head):g} times the float model's own noise"
    drawn = drawn_excess(bill, budget)
    over = float(drawn[0])
    is_over = ~(drawn <= 0)  # so is NaN
    low, high = interval(drawn)
    said = (
        f"its distance from the float model is {like.distance:.3f}, "
        f"{'more than' if is_over[0] else 'within'} the {limit:.3f} that are allowed, {reason}"
    )
    if is_over[0] and np.mean(is_over) >= REFUSING_SHARE:
        return Verdict(REFUSED, (said,))
    if high <= 0:
        return Verdict(PASSES, (said,))
    half = (high - low) / 2
    return Verdict(UNPROVEN, (f"{said}; {_more(len(bill.images), abs(over), half)}",))


def _by_labels(row: Loss, budget: Budget) -> Verdict:
    allowed = budget.accuracy_loss
    over = -row.difference - allowed
    low, high = -row.interval[1] - allowed, -row.interval[0] - allowed
    said = (
        f"{row.metric} changes by {row.difference:+.4f} [{row.interval[0]:+.4f}, "
        f"{row.interval[1]:+.4f}] on {row.images} labelled images, {-allowed:+.4f} is allowed"
    )
    if not low <= 0:  # so is NaN
        return Verdict(REFUSED, (said,))
    if high <= 0:
        return Verdict(PASSES, (said,))
    more = _more(row.images, abs(over), (high - low) / 2)
    return Verdict(UNPROVEN, (f"{said}; {more}",))


def _more(count: int, gap: float, width: float) -> str:
    """Return how many images more would shrink half an interval to what is missing."""
    wanted = count * (width / gap) ** 2 if gap > 0 else math.inf
    if wanted > MOST_IMAGES:
        return "it lies so near the limit that no number of images will decide"
    return f"some {max(1, round(wanted) - count)} more images would decide that"


def _blindness(bill: Bill) -> str:
    return (
        f"the float model sees nothing: expected objects, found {bill.kind.nothing} on each of the "
        f"{len(bill.images)} images; check --range or --mean/--std, --input (colour order) and "
        "--labels, and that the images show what it knows"
    )


def finite(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return a value as JSON can hold it: a ratio without noise, infinite, is `null`."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def as_json(bill: Bill, budget: Budget) -> dict[str, Any]:
    """Return the bill and its verdict ready for JSON."""
    found = judge(bill, budget)
    like = bill.likeness
    fields = {
        "head": bill.head,
        "reference_bytes": bill.reference_bytes,
        "candidate_bytes": bill.candidate_bytes,
        "heads": [asdict(row) for row in bill.heads],
        "images": len(bill.images),
        "objects": like.objects,
        "distance": like.distance,
        "floor": like.floor,
        "limit": None if math.isnan(like.distance) else budget.limit(bill),
        "matched": bill.matched,
        "expected": bill.expected,
        "extra": bill.extra,
        "figures": dict(bill.figures),
        "accuracy": [asdict(row) for row in bill.accuracy],
        "verdict": found.value,
        "reasons": list(found.reasons),
        "estimate": estimate(bill),
    }
    said: dict[str, Any] = finite(fields)
    return said
