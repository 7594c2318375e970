"""Whether a model's heads hold what they held for the calibration images: `strange` where not.

What is compared is a histogram of all values of each head, scores and boxes alike, since those of
an empty scene are much as those of a full one, while another kind of picture shifts them all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edge.model.description import Sight

    Shares = NDArray[np.float64]

BYTES, BINS = 256, 16
# Values of a head that are counted; the step between them is odd, so that no class is left out.
MOST_VALUES = 16_384
# Memory of what is seen now, and of what is usual here; time that it takes to learn a world.
NOW_S, USUAL_S, LEARN_S = 120.0, 3 * 86_400.0, 3_600.0
# One scene is about as far from the mean of all images as one image is. Of 178 COCO images none is
# further than 1.4 times the farthest of the 48 that calibrated; six are beyond 1.1 times.
FARTHER, LEAST_SPREAD = 1.4, 0.05


def shares(head: NDArray[Any]) -> Shares | None:
    """Return how the values of a head are spread, `(18,)`; `None` of one that has no 8 bits.

    The least value, 16 equal parts of the 256, and the greatest value; the two ends count in the
    parts as well.
    """
    if head.dtype.itemsize != 1:
        return None
    flat = head.reshape(-1)
    values = flat[:: flat.size // MOST_VALUES | 1].view(np.uint8)
    counts = np.bincount(values, minlength=BYTES) / values.size
    if head.dtype.kind == "i":
        counts = np.roll(counts, BYTES // 2)
    parts = counts.reshape(BINS, -1).sum(axis=1)
    return np.concatenate([counts[:1], parts, counts[-1:]])


def distance(a: Shares, b: Shares) -> float:
    """Return how much of two heads differs, in [0, 1]: of their parts, or at an end."""
    off = np.abs(a - b)
    return float(max(0.5 * off[1:-1].sum(), off[0], off[-1]))


@dataclass(slots=True)
class World:
    """What one camera's frames look like to the model; by day and in grey it is two.

    Attributes:
        usual: Of each head.
        spread: Of each head, the usual distance.
        now: Of each head, of the last minutes.
        seen_s: How long it was looked at.
        is_known: It was learned, or came with the model.
        told: What is strange of the last minutes; empty where nothing is, or too few were seen.
    """

    usual: dict[str, Shares] = field(default_factory=dict)
    spread: dict[str, float] = field(default_factory=dict)
    now: dict[str, Shares] = field(default_factory=dict)
    seen_s: float = 0.0
    is_known: bool = False
    told: str = ""

    @classmethod
    def of(cls, sight: Sight | None) -> World:
        """Return that of the calibration images, or one that is to be learned."""
        world = cls(is_known=sight is not None)
        for role, head in sight.heads.items() if sight else ():
            world.usual[role] = np.array([head.lowest_ratio, *head.histogram, head.highest_ratio])
            world.spread[role] = head.spread
        return world

    def judge(self, heads: Mapping[str, NDArray[Any]], elapsed_s: float) -> str:
        """Take in a frame's heads, so long after the last; return what is `told` now."""
        self.seen_s += elapsed_s
        weight = -math.expm1(-elapsed_s / NOW_S)
        worst, farthest = "", 1.0
        for role, head in heads.items():
            found = shares(head)
            if found is None:
                continue
            now = self.now.setdefault(role, found.copy())
            now += weight * (found - now)
            usual = self.usual.setdefault(role, found.copy())
            if not self.is_known:
                usual += elapsed_s / self.seen_s * (found - usual)
                self.spread[role] = max(self.spread.get(role, 0.0), distance(found, usual))
                continue
            off = distance(now, usual)
            usual += -math.expm1(-elapsed_s / USUAL_S) * (now - usual)
            limit = FARTHER * max(LEAST_SPREAD, self.spread.get(role, 1.0))
            if off > farthest * limit:
                farthest = off / limit
                worst = f"{off:.0%} of head {role!r} is other than usual, at most {limit:.0%} is"
        self.is_known = self.is_known or self.seen_s >= LEARN_S
        self.told = worst if self.seen_s >= NOW_S else ""
        return self.told
