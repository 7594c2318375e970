"""Slow geometry of the plane: angles for what is inside, a grid for what is covered, fractions."""

from __future__ import annotations

import math
from fractions import Fraction


def is_inside(point, polygon):
    """Tell by the winding number, from the sum of the angles under which the sides are seen."""
    total = 0.0
    for one, other in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        angle = math.atan2(other[1] - point[1], other[0] - point[0]) - math.atan2(
            one[1] - point[1], one[0] - point[0]
        )
        total += (angle + math.pi) % (2 * math.pi) - math.pi
    return abs(total) > math.pi


def distance_to_border(point, polygon):
    """Return how far a point is from the nearest side."""
    return min(
        _distance(point, one, other)
        for one, other in zip(polygon, [*polygon[1:], polygon[0]], strict=True)
    )


def _distance(point, one, other):
    way = other[0] - one[0], other[1] - one[1]
    square = way[0] ** 2 + way[1] ** 2
    share = ((point[0] - one[0]) * way[0] + (point[1] - one[1]) * way[1]) / square
    share = min(max(share, 0), 1)
    return math.hypot(point[0] - one[0] - share * way[0], point[1] - one[1] - share * way[1])


def covered(box, polygon, steps=24):
    """Return which share of a box x1, y1, x2, y2 a polygon covers, by points of a grid."""
    x1, y1, x2, y2 = box
    inside = [
        is_inside((x1 + (x2 - x1) * (i + 0.5) / steps, y1 + (y2 - y1) * (j + 0.5) / steps), polygon)
        for i in range(steps)
        for j in range(steps)
    ]
    return sum(inside) / len(inside)


def crosses(one, two, start, end):
    """Whether the segment between two points leads through that between two others, exactly."""
    sides = [_side(start, end, point) for point in (one, two)]
    ends = [_side(one, two, point) for point in (start, end)]
    return sides[0] * sides[1] < 0 and ends[0] * ends[1] <= 0


def _side(origin, one, other):
    (x0, y0), (x1, y1), (x2, y2) = ([Fraction(v) for v in p] for p in (origin, one, other))
    turn = (x1 - x0) * (y2 - y0) - (y1 - y0) * (x2 - x0)
    return (turn > 0) - (turn < 0)
