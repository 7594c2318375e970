"""Precision over recall as SVG, drawn by hand: no plotting package on a board."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.evaluation.judge import Curve

WIDTH_PX, HEIGHT_PX = 440, 320
LEFT_PX, TOP_PX, SIDE_PX = 48, 12, 260
TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
GOLDEN_ANGLE_DEGREES = 137.508


def precision_recall(curves: dict[str, Curve]) -> str:
    """Return an `<svg>` with a thin line for each label, and a bold one for their mean.

    Args:
        curves: Label to curve; at least one.
    """
    width = WIDTH_PX - LEFT_PX - 12
    lines = [_axes(width)]
    for number, (label, curve) in enumerate(curves.items()):
        hue = number * GOLDEN_ANGLE_DEGREES % 360
        title = f"{escape(label)}: AP50 {curve.average_precision_50:.3f}"
        lines.append(
            f'<polyline points="{_points(curve.precision, width)}" fill="none" '
            f'stroke="hsl({hue:.0f} 60% 50%)" stroke-opacity=".45">'
            f"<title>{title}</title></polyline>"
        )
    mean = np.mean([curve.precision for curve in curves.values()], axis=0)
    lines.append(
        f'<polyline points="{_points(mean, width)}" fill="none" stroke="currentColor" '
        f'stroke-width="2.5"><title>mean: AP50 {mean.mean():.3f}</title></polyline>'
    )
    return (
        f'<svg viewBox="0 0 {WIDTH_PX} {HEIGHT_PX}" width="{WIDTH_PX}" height="{HEIGHT_PX}" '
        f'role="img" aria-label="precision over recall">{"".join(lines)}</svg>'
    )


def _axes(width: int) -> str:
    parts = []
    for tick in TICKS:
        x, y = LEFT_PX + tick * width, TOP_PX + (1 - tick) * SIDE_PX
        parts.append(
            f'<path d="M{LEFT_PX} {y:.1f}h{width}M{x:.1f} {TOP_PX}v{SIDE_PX}" stroke="#8884"/>'
            f'<text x="{LEFT_PX - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
            f'<text x="{x:.1f}" y="{TOP_PX + SIDE_PX + 16}" text-anchor="middle">{tick:g}</text>'
        )
    middle = TOP_PX + SIDE_PX / 2
    parts.append(
        f'<text x="{LEFT_PX + width / 2}" y="{HEIGHT_PX - 8}" text-anchor="middle">recall</text>'
        f'<text transform="translate(12 {middle}) rotate(-90)" text-anchor="middle">'
        "precision</text>"
    )
    return "".join(parts)


def _points(precision: Iterable[float], width: int) -> str:
    values = list(precision)
    last = len(values) - 1
    return " ".join(
        f"{LEFT_PX + at / last * width:.1f},{TOP_PX + (1 - value) * SIDE_PX:.1f}"
        for at, value in enumerate(values)
    )
