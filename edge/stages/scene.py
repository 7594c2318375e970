"""What a camera usually shows, and how a look at it differs: covered, moved, blurred, dark.

The usual follows what is seen with a memory of minutes, so that dusk, clouds and the sun's way are
never a fault, and stands still while one is seen. Limits were chosen on the development scenes of
`scripts/benchmarks/bench_selfcheck.py`; it counts alarms on others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from edge.results.health import Cells, HealthState, Look

    # By way in cells, down and right, wrapped: `(24, 32)`.
    Likenesses = NDArray[np.float64]
    # What is wrong, and a sentence on it.
    Trouble = tuple[HealthState, str]

# Memory of the place, and of the light: at dusk it halves in some minutes.
SCENE_S, LIGHT_S = 600.0, 300.0
LEARNING_LOOKS = 30
# Added to levels before they are divided: sensors and codecs make black of a few.
BLACK = 4.0
# Darker than this, and this much darker than usual; it is over half way back, or when bright.
DARK_LEVEL, DARK_RATIO, BRIGHT_LEVEL = 32.0, 0.28, 60.0
# Nothing to be seen at all, at the start.
UNSEEN_LEVEL, UNSEEN_FINE = 10.0, 3.0
# Number of the cells that are taken for plain, of 768. Of white noise the Laplacian is this many
# times the steps along x and y in sum: sqrt(20) to 2 sqrt(2).
PLAIN_CELLS, NOISE_FINE = 38, 1.58
# Steps per level, from which on a cell has detail; how many cells must have it; what is left of it
# in a cell that lost it; share of those that makes a camera covered; likeness of their greys to
# those before, above which it is the same place in a blur.
DETAIL, LEAST_DETAILED, LOST, COVERED, SAME_GREYS = 0.04, 60, 0.3, 0.33, 0.7
# How much sooner detail goes than comes.
GOES = 4.0
# Least fall of the detail beside the shapes, as a logarithm; least steps of shapes to tell it by.
BLURRED, LEAST_COARSE, SAME_LIGHT = 0.55, 1.0, 0.6
# Likeness of the edges: usual one of a camera that stands still; how much better it must be
# elsewhere, and what share of the usual; below which share it is another place.
STANDING, BETTER, FOUND, ELSEWHERE = 0.5, 0.15, 0.4, 0.3
# Least way, and how far a second look may differ, in cells.
LEAST_MOVE, SAME_MOVE = 1.5, 1.5
# Below this share of the usual level it is night, whose place is not learned.
NIGHT_RATIO = 0.5
# How many of its usual deviations a value must be off besides.
DEVIATIONS = 5.0


@dataclass(frozen=True, slots=True)
class Traits:
    """What of a look is compared with the usual.

    Attributes:
        look: Itself.
        detail: `(24, 32)` steps per level in each cell, without the noise's.
        pattern: `(2, 24, 32)` where edges are, whatever the light; of mean 0 along x and y.
        sharpness: Logarithm of fine to coarse, without the noise.
    """

    look: Look
    detail: Cells
    pattern: Cells
    sharpness: float

    @classmethod
    def of(cls, look: Look) -> Traits:
        """Return those of a look."""
        steps = look.edges.sum(axis=0)
        # The plainest cells show the sensor's noise, where anything is plain.
        noise = float(np.partition(steps, PLAIN_CELLS, axis=None)[PLAIN_CELLS])
        levels = look.cells + 2 * BLACK
        edges = np.sqrt(look.edges / levels)
        fine = math.sqrt(max(0.0, look.fine**2 - (NOISE_FINE * noise) ** 2))
        return cls(
            look,
            np.maximum(steps - noise, 0) / levels,
            edges - edges.mean(axis=(1, 2), keepdims=True),
            math.log((fine + 0.5) / (look.coarse + 0.5)),
        )


@dataclass(slots=True)
class Usual:
    """A value's mean and mean deviation, with a memory."""

    mean: float = 0.0
    deviation: float = 0.0

    def follow(self, value: float, weight: float) -> None:
        """Take in a value; its weight is 1 for the first one."""
        off = value - self.mean
        self.mean += weight * off
        if weight < 1:
            self.deviation += weight * (abs(off) - self.deviation)

    def exceeded(self, off: float, least: float) -> bool:
        """Whether a difference is beyond a least one and what is usual."""
        return off > max(least, DEVIATIONS * self.deviation)


@dataclass(slots=True)
class Scene:
    """The usual look of one camera.

    Attributes:
        looks: How many it was learned from.
        cells: `(24, 32)` mean grey of each cell.
        detail: `(24, 32)` steps per level in each cell.
        pattern: `(2, 24, 32)` mean of the patterns.
        light: Logarithm of the level.
        sharpness: Logarithm of fine to coarse.
        likeness: Of a look's pattern to the mean.
        loss: Share of the cells with detail that a look has none in.
    """

    looks: int = 0
    cells: Cells = field(default_factory=lambda: np.zeros((24, 32), np.float32))
    detail: Cells = field(default_factory=lambda: np.zeros((24, 32), np.float32))
    pattern: Cells = field(default_factory=lambda: np.zeros((2, 24, 32), np.float32))
    light: Usual = field(default_factory=Usual)
    sharpness: Usual = field(default_factory=Usual)
    likeness: Usual = field(default_factory=Usual)
    loss: Usual = field(default_factory=Usual)
    _way: tuple[int, int] = (0, 0)
    _is_dark: bool = False

    @property
    def is_learned(self) -> bool:
        """Whether there is something to compare with."""
        return self.looks >= LEARNING_LOOKS

    def judge(self, traits: Traits, *, ignore: Collection[str] = ()) -> Trouble | None:
        """Return what is wrong with a look, but for states to ignore."""
        if self.is_learned:
            found = self._found(traits)
            troubles = [
                *(self._darkness(traits.look), self._movement(found), self._cover(traits)),
                *(self._blur(traits), self._elsewhere(found)),
            ]
        else:
            troubles = [_unseen(traits.look)]
        return next((each for each in troubles if each and each[0] not in ignore), None)

    def follow(self, traits: Traits, elapsed_s: float) -> None:
        """Take in a look, so many seconds after the last one."""
        self.looks += 1
        look = traits.look
        weight = max(1 / self.looks, -math.expm1(-elapsed_s / SCENE_S))
        self.light.follow(_log(look.level), max(1 / self.looks, -math.expm1(-elapsed_s / LIGHT_S)))
        if self.is_learned and look.level < NIGHT_RATIO * self.cells.mean():
            return  # the night keeps the day's place
        likeness, (_, loss) = self._likeness(traits), self._lost(traits)
        self.cells += weight * (look.cells - self.cells)
        gap = traits.detail - self.detail
        # What comes and goes is no detail of the place.
        self.detail += np.where(gap < 0, min(1.0, GOES * weight), weight) * gap
        self.pattern += weight * (traits.pattern - self.pattern)
        self.sharpness.follow(traits.sharpness, weight)
        if self.looks > LEARNING_LOOKS // 2:
            later = max(1 / (self.looks - LEARNING_LOOKS // 2), weight)
            self.likeness.follow(likeness, later)
            self.loss.follow(loss, later)

    def _darkness(self, look: Look) -> Trouble | None:
        ratio = (look.level + BLACK) / math.exp(self.light.mean)
        if self._is_dark:
            self._is_dark = look.level < BRIGHT_LEVEL and ratio < 2 * DARK_RATIO
        else:
            self._is_dark = look.level < DARK_LEVEL and ratio < DARK_RATIO
        if self._is_dark:
            return "dark", f"the picture has {ratio:.0%} of its usual brightness, all at once"
        return None

    def _cover(self, traits: Traits) -> Trouble | None:
        lost, ratio = self._lost(traits)
        if not self.loss.exceeded(ratio - self.loss.mean, COVERED):
            return None
        if _correlation(traits.look.cells[lost], self.cells[lost]) > SAME_GREYS:
            return None
        return "covered", f"{ratio:.0%} of the picture's detail is gone, behind something plain"

    def _lost(self, traits: Traits) -> tuple[NDArray[np.bool_], float]:
        """Return which cells have lost their usual detail, and what share of those that have it."""
        detailed = self.detail > DETAIL
        count = int(detailed.sum())
        lost = detailed & (traits.detail < LOST * self.detail)
        return lost, int(lost.sum()) / count if count >= LEAST_DETAILED else 0.0

    def _blur(self, traits: Traits) -> Trouble | None:
        off = self.sharpness.mean - traits.sharpness
        is_same_light = abs(_log(traits.look.level) - self.light.mean) < SAME_LIGHT
        if traits.look.coarse < LEAST_COARSE or not is_same_light:
            return None
        if not self.sharpness.exceeded(off, BLURRED):
            return None
        return "blurred", f"fine detail has {math.exp(-off):.0%} of its usual strength"

    def _found(self, traits: Traits) -> Likenesses | None:
        """Return how like the usual a look is, by way; `None` where it is here as ever, or dark."""
        usual = self.likeness.mean
        if usual < STANDING or traits.detail.mean() < LOST * self.detail.mean():
            return None
        if not self.likeness.exceeded(usual - self._likeness(traits), BETTER):
            return None
        product = np.conj(np.fft.rfft2(self.pattern)) * np.fft.rfft2(traits.pattern)  # (2, 24, 17)
        found: Likenesses = np.fft.irfft2(product.sum(axis=0), traits.detail.shape)
        return found / self._norm(traits)

    def _movement(self, found: Likenesses | None) -> Trouble | None:
        if found is None:
            return None
        y, x = np.unravel_index(int(found.argmax()), found.shape)
        way = _signed(int(x), found.shape[1]), _signed(int(y), found.shape[0])
        is_same, self._way = math.dist(way, self._way) <= SAME_MOVE, way
        best = found[y, x]
        if best - found[0, 0] < BETTER or best < FOUND * self.likeness.mean:
            return None
        is_same = is_same and math.hypot(*way) >= LEAST_MOVE
        return ("moved", _in_words(way, found.shape)) if is_same else None

    def _elsewhere(self, found: Likenesses | None) -> Trouble | None:
        if found is None or found[0, 0] >= ELSEWHERE * self.likeness.mean:
            return None
        return "moved", "the picture shows another place than before"

    def _likeness(self, traits: Traits) -> float:
        """Return how like the usual pattern is, where it is."""
        return float(np.vdot(self.pattern, traits.pattern)) / self._norm(traits)

    def _norm(self, traits: Traits) -> float:
        return float(np.linalg.norm(traits.pattern) * np.linalg.norm(self.pattern)) or 1.0


def _unseen(look: Look) -> Trouble | None:
    if look.level < UNSEEN_LEVEL and look.fine < UNSEEN_FINE:
        return "dark", "there has been nothing to be seen since the start"
    return None


def _log(level: float) -> float:
    return math.log(level + BLACK)


def _correlation(a: Cells, b: Cells) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norm if norm else 0.0


def _signed(cells: int, count: int) -> int:
    return cells - count if cells > count // 2 else cells


def _in_words(way: tuple[int, int], shape: tuple[int, ...]) -> str:
    x, y = way[0] / shape[1], way[1] / shape[0]
    sides = [
        f"{abs(ratio):.0%} {words[ratio > 0]}"
        for ratio, words in ((x, ("to the left", "to the right")), (y, ("up", "down")))
        if ratio
    ]
    return f"the picture has moved by {' and '.join(sides)}"
