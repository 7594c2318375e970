"""Curves as SVG, drawn by hand: no plotting package on a board."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HEIGHT_PX = 320
LEFT_PX, TOP_PX, RIGHT_PX = 56, 12, 16
GOLDEN_ANGLE_DEGREES = 137.508
# Steps between ticks that people read without counting.
NICE_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
WANTED_TICKS = 5


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: its name, its points `(x, y)` in the axes' units, and how it is drawn."""

    title: str
    points: Sequence[tuple[float, float]]
    stroke: str
    width_px: float = 1.5
    opacity: float = 1.0
    dotted: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: its name, and its ticks with the range that they span."""

    name: str
    ticks: tuple[float, ...]

    @property
    def low(self) -> float:
        """Where it begins."""
        return self.ticks[0]

    @property
    def high(self) -> float:
        """Where it ends."""
        return self.ticks[-1]


def color(number: int) -> str:
    """Return a colour for the curve of this number, far from its neighbours'."""
    return f"hsl({(217 + number * GOLDEN_ANGLE_DEGREES) % 360:.0f} 65% 50%)"


def axis(name: str, values: Iterable[float], *, from_zero: bool = False) -> Axis:
    """Return an axis with round ticks around all values."""
    found = [*values, *([0.0] if from_zero else [])]
    low, high = min(found), max(found)
    if high <= low:
        low, high = low - 1.0 * (not from_zero), high + 1.0
    power = 10.0 ** math.floor(math.log10((high - low) / WANTED_TICKS))
    step = next(step * power for step in NICE_STEPS if step * power * WANTED_TICKS >= high - low)
    first, last = math.floor(low / step), math.ceil(high / step)
    return Axis(name, tuple(round(number * step, 9) for number in range(first, last + 1)))


def chart(lines: Iterable[Line], x: Axis, y: Axis, *, width_px: int = 440) -> str:
    """Return an `<svg>` of curves over their axes."""
    inner_px = width_px - LEFT_PX - RIGHT_PX
    side_px = HEIGHT_PX - TOP_PX - 48
    parts = [_axes(x, y, inner_px=inner_px, side_px=side_px)]
    for line in lines:
        points = " ".join(
            f"{LEFT_PX + _place(at, x) * inner_px:.1f},{TOP_PX + (1 - _place(to, y)) * side_px:.1f}"
            for at, to in line.points
        )
        dots = ' stroke-dasharray="2 3"' if line.dotted else ""
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{line.stroke}" '
            f'stroke-width="{line.width_px:g}" stroke-opacity="{line.opacity:g}"{dots}>'
            f"<title>{escape(line.title)}</title></polyline>"
        )
    label = escape(f"{y.name} over {x.name}")
    return (
        f'<svg viewBox="0 0 {width_px} {HEIGHT_PX}" width="{width_px}" height="{HEIGHT_PX}" '
        f'role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )


def _place(value: float, on: Axis) -> float:
    return (value - on.low) / (on.high - on.low)


def _axes(x: Axis, y: Axis, *, inner_px: int, side_px: int) -> str:
    parts = []
    for tick in x.ticks:
        at = LEFT_PX + _place(tick, x) * inner_px
        parts.append(
            f'<path d="M{at:.1f} {TOP_PX}v{side_px}" stroke="#8884"/>'
            f'<text x="{at:.1f}" y="{TOP_PX + side_px + 16}" text-anchor="middle">{tick:g}</text>'
        )
    for tick in y.ticks:
        at = TOP_PX + (1 - _place(tick, y)) * side_px
        parts.append(
            f'<path d="M{LEFT_PX} {at:.1f}h{inner_px}" stroke="#8884"/>'
            f'<text x="{LEFT_PX - 6}" y="{at + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    parts.append(
        f'<text x="{LEFT_PX + inner_px / 2}" y="{HEIGHT_PX - 8}" text-anchor="middle">'
        f"{escape(x.name)}</text>"
        f'<text transform="translate(12 {TOP_PX + side_px / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(y.name)}</text>"
    )
    return "".join(parts)
