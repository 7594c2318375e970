"""Precision over recall as SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.pages.plot import GOLDEN_ANGLE_DEGREES, Axis, Line, chart

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.evaluation.judge import Curve

TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def precision_recall(curves: dict[str, Curve]) -> str:
    """Return an `<svg>` with a thin line for each label, and a bold one for their mean.

    Args:
        curves: Label to curve; at least one.
    """
    lines = [
        Line(
            f"{label}: AP50 {curve.average_precision_50:.3f}",
            _points(curve.precision),
            f"hsl({number * GOLDEN_ANGLE_DEGREES % 360:.0f} 60% 50%)",
            opacity=0.45,
            width_px=1,
        )
        for number, (label, curve) in enumerate(curves.items())
    ]
    mean = np.mean([curve.precision for curve in curves.values()], axis=0)
    lines.append(Line(f"mean: AP50 {mean.mean():.3f}", _points(mean), "currentColor", 2.5))
    return chart(lines, Axis("recall", TICKS), Axis("precision", TICKS))


def _points(precision: Iterable[float]) -> list[tuple[float, float]]:
    values = list(precision)
    last = len(values) - 1
    return [(at / last, value) for at, value in enumerate(values)]
