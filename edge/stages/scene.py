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
    from numpy.typing import NDArray

    from edge.results.health import Cells, HealthState, Look

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
# Steps per level, from which on a cell has detail; share of cells that need it; what is left of it
# in a cell that lost it; share of those that makes a camera covered; likeness of their greys to
# those before, above which it is the same place in a blur.
DETAIL, LEAST_DETAILED, LOST, COVERED, SAME_GREYS = 0.04, 0.08, 0.3, 0.33, 0.7
# Least fall of the detail beside the shapes, as a logarithm; least steps of shapes to tell it by.
BLURRED, LEAST_COARSE, SAME_LIGHT = 0.55, 1.0, 0.6
# Likeness of the edges: usual one of a camera that stands still; how much better it must be
# elsewhere; below which share of the usual it is another place.
STANDING, BETTER, ELSEWHERE = 0.5, 0.15, 0.3
# Least way, and how far a second look may differ, in cells.
LEAST_MOVE, SAME_MOVE = 1.5, 1.5
# How many of its usual deviations a value must be off besides.
DEVIATIONS = 5.0


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
        pattern: `(2, 24, 32)` mean of what `_pattern` makes of a look.
        light: Logarithm of the level.
        sharpness: Logarithm of fine to coarse.
        likeness: Of a look's edges to the pattern.
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

    def judge(self, look: Look) -> Trouble | None:
        """Return what is wrong with a look."""
        if not self.is_learned:
            return _unseen(look)
        return self._darkness(look) or self._cover(look) or self._blur(look) or self._movement(look)

    def follow(self, look: Look, elapsed_s: float) -> None:
        """Take in a look, so many seconds after the last one."""
        self.looks += 1
        weight = max(1 / self.looks, -math.expm1(-elapsed_s / SCENE_S))
        self.light.follow(_log(look.level), max(1 / self.looks, -math.expm1(-elapsed_s / LIGHT_S)))
        if self.is_learned and look.level < 0.5 * self.cells.mean():
            return  # the night keeps the day's place
        likeness = self._likeness(_pattern(look))[0, 0]
        detailed, lost = self._lost(look)
        loss = int(lost.sum()) / max(1, int(detailed.sum()))
        self.cells += weight * (look.cells - self.cells)
        self.detail += weight * (_detail(look) - self.detail)
        self.pattern += weight * (_pattern(look) - self.pattern)
        self.sharpness.follow(_sharpness(look), weight)
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

    def _cover(self, look: Look) -> Trouble | None:
        detailed, lost = self._lost(look)
        ratio = int(lost.sum()) / max(1, int(detailed.sum()))
        if detailed.mean() < LEAST_DETAILED:
            return None
        if (
            not self.loss.exceeded(ratio - self.loss.mean, COVERED)
            or _correlation(look.cells[lost], self.cells[lost]) > SAME_GREYS
        ):
            return None
        return "covered", f"{ratio:.0%} of the picture's detail is gone, behind something plain"

    def _lost(self, look: Look) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which cells usually have detail, and which of these have not."""
        detailed = self.detail > DETAIL
        return detailed, detailed & (_detail(look) < LOST * self.detail)

    def _blur(self, look: Look) -> Trouble | None:
        off = self.sharpness.mean - _sharpness(look)
        is_same_light = abs(_log(look.level) - self.light.mean) < SAME_LIGHT
        if look.coarse < LEAST_COARSE or not is_same_light:
            return None
        if not self.sharpness.exceeded(off, BLURRED):
            return None
        return "blurred", f"fine detail has {math.exp(-off):.0%} of its usual strength"

    def _movement(self, look: Look) -> Trouble | None:
        usual = self.likeness.mean
        if usual < STANDING or _detail(look).mean() < LOST * self.detail.mean():
            return None
        found = self._likeness(_pattern(look))
        here = found[0, 0]
        if not self.likeness.exceeded(usual - here, BETTER):
            return None
        y, x = np.unravel_index(int(found.argmax()), found.shape)
        way = _signed(int(x), found.shape[1]), _signed(int(y), found.shape[0])
        is_same, self._way = math.dist(way, self._way) <= SAME_MOVE, way
        best = found[y, x]
        if best - here > BETTER and best > STANDING * usual and math.hypot(*way) >= LEAST_MOVE:
            return ("moved", _in_words(way, look.cells.shape)) if is_same else None
        if here < ELSEWHERE * usual:
            return "moved", "the picture shows another place than before"
        return None

    def _likeness(self, pattern: Cells) -> NDArray[np.float64]:
        """Return how like the usual pattern is, moved by so many cells down and right, wrapped."""
        norm = float(np.linalg.norm(pattern) * np.linalg.norm(self.pattern))
        if not norm:
            return np.zeros(pattern.shape[1:])
        product = np.conj(np.fft.rfft2(self.pattern)) * np.fft.rfft2(pattern)  # (2, 24, 17)
        found: NDArray[np.float64] = np.fft.irfft2(product.sum(axis=0), pattern.shape[1:])
        return found / norm


def _unseen(look: Look) -> Trouble | None:
    if look.level < UNSEEN_LEVEL and look.fine < UNSEEN_FINE:
        return "dark", "there has been nothing to be seen since the start"
    return None


def _pattern(look: Look) -> Cells:
    """Return where edges are, `(2, 24, 32)`, whatever the light; of mean 0 along x and y."""
    steps = np.sqrt(look.edges / (look.cells + 2 * BLACK))
    pattern: Cells = steps - steps.mean(axis=(1, 2), keepdims=True)
    return pattern


def _noise(steps: Cells) -> float:
    """Return the steps of the plainest cells: the sensor's noise, where anything is plain."""
    return float(np.partition(steps, PLAIN_CELLS, axis=None)[PLAIN_CELLS])


def _detail(look: Look) -> Cells:
    steps = look.edges.sum(axis=0)
    detail: Cells = np.maximum(steps - _noise(steps), 0) / (look.cells + 2 * BLACK)
    return detail


def _sharpness(look: Look) -> float:
    noise = NOISE_FINE * _noise(look.edges.sum(axis=0))
    fine = math.sqrt(max(0.0, look.fine**2 - noise**2))
    return math.log((fine + 0.5) / (look.coarse + 0.5))


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
