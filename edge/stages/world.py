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
    from edge.results.health import Look

    Shares = NDArray[np.float64]

BYTES, BINS = 256, 16
# Values of a head that are counted; the step between them is odd, so that no class is left out.
MOST_VALUES = 16_384
# Memory of what is seen now, and of what is usual here; time that it takes to learn a world.
NOW_S, USUAL_S, LEARN_S = 120.0, 3 * 86_400.0, 3_600.0
# One scene is about as far from the mean of all images as one image is. Of 178 COCO images none is
# further than 1.4 times the farthest of the 48 that calibrated; six are beyond 1.1 times.
FARTHER, LEAST_SPREAD = 1.4, 0.05
CLIPPED_MORE = 0.25
# Less colour than this, and it is the picture of an infrared lamp, or a grey camera's.
GREY_COLOUR, LEAST_LEVEL = 6.0, 40.0


def shares(head: NDArray[Any]) -> Shares | None:
    """Return how the values of a head are spread, `(18,)`; `None` of one that has no 8 bits.

    The least value, 16 equal parts of the 256, and the greatest value; the two ends count in the
    parts as well.
    """
    if head.dtype.itemsize != 1:
        return None
    flat = head.reshape(-1)
    values = flat[:: flat.size // MOST_VALUES | 1].view(np.uint8)
    if head.dtype.kind == "i":
        values = values ^ np.uint8(0x80)
    counts = np.bincount(values, minlength=BYTES) / values.size
    parts = counts.reshape(BINS, -1).sum(axis=1)
    found: Shares = np.concatenate([counts[:1], parts, counts[-1:]])
    return found


def distance(a: Shares, b: Shares) -> float:
    """Return how much of two heads differs, in [0, 1]: of their parts, or at an end."""
    parts = 0.5 * float(np.abs(a[1:-1] - b[1:-1]).sum())
    return max(parts, float(np.abs(a[[0, -1]] - b[[0, -1]]).max()))


@dataclass(slots=True)
class World:
    """What one camera's frames look like to the model; by day and in grey it is two.

    Attributes:
        usual: Of each head.
        spread: Of each head, the usual distance.
        now: Of each head, of the last minutes.
        seen_s: How long it was looked at.
        is_known: It was learned, or came with the model.
        strange: What was strange when heads were last seen.
    """

    usual: dict[str, Shares] = field(default_factory=dict)
    spread: dict[str, float] = field(default_factory=dict)
    now: dict[str, Shares] = field(default_factory=dict)
    seen_s: float = 0.0
    is_known: bool = False
    strange: str = ""

    @classmethod
    def of(cls, sight: Sight | None) -> World:
        """Return that of the calibration images, or one that is to be learned."""
        if sight is None:
            return cls()
        usual = {
            role: np.array([head.lowest_ratio, *head.histogram, head.highest_ratio])
            for role, head in sight.heads.items()
        }
        return cls(usual, {role: head.spread for role, head in sight.heads.items()}, is_known=True)

    def judge(self, heads: Mapping[str, NDArray[Any]], elapsed_s: float) -> str:
        """Take in a frame's heads, so long after the last; return what is strange of the minutes.

        Returns:
            A sentence; empty where nothing is, or not enough has been seen.
        """
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
            off = distance(now, usual)
            if not self.is_known:
                usual += max(weight, -math.expm1(-elapsed_s / LEARN_S)) * (found - usual)
                self.spread[role] = max(self.spread.get(role, 0.0), distance(found, usual))
                continue
            usual += -math.expm1(-elapsed_s / USUAL_S) * (now - usual)
            limit = FARTHER * max(LEAST_SPREAD, self.spread.get(role, 1.0))
            if off > farthest * limit:
                farthest = off / limit
                worst = f"{off:.0%} of head {role!r} is other than usual, at most {limit:.0%} is"
        self.is_known = self.is_known or self.seen_s >= LEARN_S
        return worst if self.seen_s >= NOW_S else ""


def is_grey(look: Look) -> bool:
    """Whether a picture has no colour, as by an infrared lamp."""
    return look.colour < GREY_COLOUR


def overexposed(clipped_ratio: float, sight: Sight | None) -> str:
    """Return what is strange about a share of pixels that are black or white, or nothing."""
    most = sight.clipped_ratio if sight else 1.0
    if clipped_ratio <= most + CLIPPED_MORE:
        return ""
    return f"{clipped_ratio:.0%} of the picture is black or white, at most {most:.0%} is usual"
