"""One way that was tried to quantise a model, and which of several to prefer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from converter.gate import JUDGED_METRICS
from edge.errors import ModelError

if TYPE_CHECKING:
    from converter.bill import Bill
    from converter.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way that was tried to quantise the model.

    Attributes:
        what: It differs in from the recipe asked for, a clause for people.
        recipe: That made it.
        bill: Of its result on the held-back images; `None` where it cannot be made.
        faults: Sentences on how that exceeds the budget, or why there is none; none where it
            passes.
        elapsed_s: Of quantising and judging it.
    """

    what: str
    recipe: Recipe
    bill: Bill | None
    faults: tuple[str, ...]
    elapsed_s: float

    @property
    def made(self) -> Bill:
        """The bill, where there is one."""
        if self.bill is None:
            raise ModelError(self.faults[0])
        return self.bill

    @property
    def figure(self) -> str:
        """What it was judged by, in words; or why there is nothing to judge."""
        if self.bill is None:
            return self.faults[0]
        judged = [row for row in self.bill.accuracy if row.metric in JUDGED_METRICS]
        if judged:
            return ", ".join(f"{row.metric} {row.difference:+.4f}" for row in judged)
        return f"agreement {self.bill.agreement:.1%}"


def merit(attempt: Attempt) -> tuple[bool, int, float]:
    """Return what to prefer: what passes, of that the fewest layers float, else the least loss."""
    if attempt.bill is None:
        return False, 0, -math.inf
    passes = not attempt.faults
    judged = [row.difference for row in attempt.bill.accuracy if row.metric in JUDGED_METRICS]
    kept = len(attempt.recipe.keep_float.names) if passes else 0
    return passes, -kept, min(judged) if judged else attempt.bill.agreement
