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

    from edge.results.observation import Cells, HealthState, Look

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
# times the steps along x and y in sum: sqrt(20) to 2 sqrt(2). Steps above the last are no sensor's
# noise but texture all over, as of gravel: with its blur missed, 5 of 286 trials were, else 2.
PLAIN_CELLS, NOISE_FINE, MOST_NOISE = 38, 1.58, 10.0
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


class Traits:
    """What of a look is compared with the usual.

    Attributes:
        grey: `(24, 32)` mean of each cell.
        sharpness: Logarithm of fine to coarse, without the noise.
        detail: `(24, 32)` steps per level in each cell, without the noise's.
        pattern: `(2, 24, 32)` where edges are, whatever the light; of mean 0 along x and y.
        norm: Product of its length and the usual one's.
        likeness: To the usual one, where it is, in [-1, 1].
        lost: `(24, 32)` bool, which cells have lost their usual detail.
        loss: Their share of those that have any.
    """

    def __init__(self, look: Look, usual: Scene) -> None:
        self.grey, steps, self.level = look.cells[0], look.cells[1] + look.cells[2], look.level
        self.coarse = look.coarse
        # The plainest cells show the sensor's noise, where anything is plain.
        noise = min(float(np.partition(steps, PLAIN_CELLS, axis=None)[PLAIN_CELLS]), MOST_NOISE)
        fine = math.sqrt(max(0.0, look.fine**2 - (NOISE_FINE * noise) ** 2))
        self.sharpness = math.log((fine + 0.5) / (self.coarse + 0.5))
        levels = self.grey + 2 * BLACK
        self.detail = np.maximum(steps - noise, 0) / levels
        edges = np.sqrt(look.cells[1:] / levels)
        self.pattern = edges - edges.mean(axis=(1, 2), keepdims=True)
        self.norm = _length(self.pattern) * _length(usual.pattern) or 1.0
        self.likeness = float(np.vdot(self.pattern, usual.pattern)) / self.norm
        detailed = usual.detail > DETAIL
        self.lost = detailed & (self.detail < LOST * usual.detail)
        count = np.count_nonzero(detailed)
        self.loss = np.count_nonzero(self.lost) / count if count >= LEAST_DETAILED else 0.0


@dataclass(slots=True)
class Scene:
    """The usual look of one camera, as `Traits` has it.

    Attributes:
        looks: How many it was learned from.
        light: Logarithm of the level.
    """

    looks: int = 0
    grey: Cells = field(default_factory=lambda: np.zeros((24, 32), np.float32))
    detail: Cells = field(default_factory=lambda: np.zeros((24, 32), np.float32))
    pattern: Cells = field(default_factory=lambda: np.zeros((2, 24, 32), np.float32))
    light: Usual = field(default_factory=Usual)
    sharpness: Usual = field(default_factory=Usual)
    likeness: Usual = field(default_factory=Usual)
    loss: Usual = field(default_factory=Usual)
    _way: tuple[int, int] = (0, 0)
    _is_dark: bool = False

    def see(self, look: Look, elapsed_s: float, *, ignore: Collection[str] = ()) -> Trouble | None:
        """Return what is wrong with a look, so long after the last; learn from it where nothing is.

        States to `ignore` are not told.
        """
        seen = Traits(look, self)
        troubles: list[Trouble | None]
        if self.looks >= LEARNING_LOOKS:
            moved, elsewhere = self._movement(seen)
            troubles = [self._darkness(seen), moved, self._cover(seen), self._blur(seen), elsewhere]
        else:
            unseen = seen.level < UNSEEN_LEVEL and look.fine < UNSEEN_FINE
            reason = "there has been nothing to be seen since the start"
            troubles = [("dark", reason) if unseen else None]
        trouble = next((each for each in troubles if each and each[0] not in ignore), None)
        if trouble is None:
            self._learn(seen, elapsed_s)
        return trouble

    def _learn(self, seen: Traits, elapsed_s: float) -> None:
        self.looks += 1
        least = 1 / self.looks
        weight = max(least, -math.expm1(-elapsed_s / SCENE_S))
        self.light.follow(_log(seen.level), max(least, -math.expm1(-elapsed_s / LIGHT_S)))
        if self.looks > LEARNING_LOOKS and seen.level < NIGHT_RATIO * self.grey.mean():
            return  # the night keeps the day's place
        self.grey += weight * (seen.grey - self.grey)
        gap = seen.detail - self.detail
        # What comes and goes is no detail of the place.
        self.detail += weight * gap + (min(1.0, GOES * weight) - weight) * np.minimum(gap, 0)
        self.pattern += weight * (seen.pattern - self.pattern)
        self.sharpness.follow(seen.sharpness, weight)
        if (later := self.looks - LEARNING_LOOKS // 2) > 0:
            self.likeness.follow(seen.likeness, max(1 / later, weight))
            self.loss.follow(seen.loss, max(1 / later, weight))

    def _darkness(self, seen: Traits) -> Trouble | None:
        ratio = (seen.level + BLACK) / math.exp(self.light.mean)
        most = (BRIGHT_LEVEL, 2 * DARK_RATIO) if self._is_dark else (DARK_LEVEL, DARK_RATIO)
        self._is_dark = seen.level < most[0] and ratio < most[1]
        if not self._is_dark:
            return None
        return "dark", f"the picture has {ratio:.0%} of its usual brightness, all at once"

    def _cover(self, seen: Traits) -> Trouble | None:
        is_lost = self.loss.exceeded(seen.loss - self.loss.mean, COVERED)
        if not is_lost or _likeness(seen.grey[seen.lost], self.grey[seen.lost]) > SAME_GREYS:
            return None
        return "covered", f"{seen.loss:.0%} of the picture's detail is gone, behind something plain"

    def _blur(self, seen: Traits) -> Trouble | None:
        off = self.sharpness.mean - seen.sharpness
        is_same_light = abs(_log(seen.level) - self.light.mean) < SAME_LIGHT
        is_judged = seen.coarse >= LEAST_COARSE and is_same_light
        if not is_judged or not self.sharpness.exceeded(off, BLURRED):
            return None
        return "blurred", f"fine detail has {math.exp(-off):.0%} of its usual strength"

    def _movement(self, seen: Traits) -> tuple[Trouble | None, Trouble | None]:
        """Return what is told of edges that are found elsewhere, and of such as are not found."""
        usual = self.likeness.mean
        is_off = usual >= STANDING and self.likeness.exceeded(usual - seen.likeness, BETTER)
        if not is_off or seen.detail.mean() < LOST * self.detail.mean():
            return None, None
        product = np.conj(np.fft.rfft2(self.pattern)) * np.fft.rfft2(seen.pattern)  # (2, 24, 17)
        found = np.fft.irfft2(product.sum(axis=0), seen.grey.shape) / seen.norm  # by way, wrapped
        y, x = (int(each) for each in np.unravel_index(found.argmax(), found.shape))
        rows, columns = found.shape
        way = (x + columns // 2) % columns - columns // 2, (y + rows // 2) % rows - rows // 2
        is_same, self._way = math.dist(way, self._way) <= SAME_MOVE, way
        is_better = found[y, x] - seen.likeness >= BETTER and found[y, x] >= FOUND * usual
        is_moved = is_better and is_same and math.hypot(*way) >= LEAST_MOVE
        words = (way[0] / columns, ("to the left", "to the right")), (way[1] / rows, ("up", "down"))
        ways = [f"{abs(ratio):.0%} {names[ratio > 0]}" for ratio, names in words if ratio]
        moved: Trouble = "moved", f"the picture has moved by {' and '.join(ways)}"
        elsewhere: Trouble = "moved", "the picture shows another place than before"
        return moved if is_moved else None, (
            elsewhere if seen.likeness < ELSEWHERE * usual else None
        )


def _log(level: float) -> float:
    return math.log(level + BLACK)


def _length(values: Cells) -> float:
    return math.sqrt(np.vdot(values, values))


def _likeness(a: Cells, b: Cells) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b) / (_length(a) * _length(b) or 1.0)
