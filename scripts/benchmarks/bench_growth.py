"""A cost measured at several sizes in turn, and whether it grew by no more than it may."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class Growth:
    """What one cost does with one size.

    Attributes:
        what: The cost, and what grows.
        unit: Of the cost.
        steps: Label of a size to what returns its cost in one window, smallest first.
        limit: Most that the last step's cost may be of the first's.
        rule: Why, in a few words.
    """

    what: str
    unit: str
    steps: dict[str, Callable[[], float]]
    limit: float
    rule: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A row of the table.

    Attributes:
        costs: Median at each step, as text.
        figures: What is compared with the limit, one a round.
        unit: Of the figures; empty for a ratio.
    """

    what: str
    costs: str
    figures: tuple[float, ...]
    limit: float
    rule: str
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Whether the median keeps to the limit."""
        return statistics.median(self.figures) <= self.limit

    def cells(self) -> list[str]:
        """Return the row: what, costs, measured, allowed, verdict."""
        middle, least, most = statistics.median(self.figures), min(self.figures), max(self.figures)
        sign = self.unit or "x"
        return [
            self.what,
            self.costs,
            f"{middle:.2f} {sign} ({least:.2f} to {most:.2f})",
            f"{self.limit:.2f} {sign}: {self.rule}",
            "holds" if self.holds else "**does not hold**",
        ]


def grown(growth: Growth, *, rounds: int) -> Outcome:
    """Measure every step in each round, forwards and backwards in turn; compare round by round."""
    steps = list(growth.steps.items())
    costs: dict[str, list[float]] = {label: [] for label, _ in steps}
    for _, measure in steps:
        measure()  # warms caches and buffers
    for number in range(rounds):
        for label, measure in steps if number % 2 else reversed(steps):
            costs[label].append(measure())
    first, last = costs[steps[0][0]], costs[steps[-1][0]]
    ratios = tuple(b / a for a, b in zip(first, last, strict=True))
    return Outcome(growth.what, listed(costs, growth.unit), ratios, growth.limit, growth.rule)


def listed(costs: dict[str, list[float]], unit: str) -> str:
    """Return each step's median cost."""
    return ", ".join(f"{label}: {rounded(values)}" for label, values in costs.items()) + f" {unit}"


def rounded(values: Sequence[float]) -> str:
    """Return a median with three significant digits."""
    return f"{statistics.median(values):.3g}"
