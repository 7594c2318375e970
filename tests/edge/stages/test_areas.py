"""Where boxes are, compared with slow geometry."""

from __future__ import annotations

import math

import factories
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference import plane_geometry as slow

from edge.config.zone import Ground, Line, Zone
from edge.stages.areas import Areas, GroundScale, Lines, shares

pytestmark = pytest.mark.board

UNIT = st.floats(0, 1)


@st.composite
def polygons(draw):
    """Return a polygon without crossings, convex or not: corners by their angle round a centre."""
    count = draw(st.integers(3, 9))
    gaps = draw(st.lists(st.floats(0.3, 1), min_size=count, max_size=count))
    angles = np.cumsum(gaps) / sum(gaps) * 2 * math.pi
    radii = draw(st.lists(st.floats(0.05, 0.45), min_size=count, max_size=count))
    points = [
        (0.5 + r * math.cos(a), 0.5 + r * math.sin(a)) for a, r in zip(angles, radii, strict=True)
    ]
    return points[::-1] if draw(st.booleans()) else points


BOXES = st.lists(
    st.tuples(UNIT, UNIT, UNIT, UNIT).map(
        lambda v: (min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3]))
    ),
    min_size=1, max_size=5,
)  # fmt: skip


def corners(boxes):
    return np.array(boxes, np.float64).T.reshape(2, 2, -1)


def held(zones, boxes):
    out = np.empty((len(zones), len(boxes)), np.bool_)
    Areas(zones).holds(corners(boxes), out=out)
    return out


@settings(max_examples=50)
@given(
    st.lists(st.tuples(polygons(), st.sampled_from(["bottom", "center"])), min_size=1, max_size=3),
    BOXES,
)
def test_points_in_polygons_are_those_of_the_winding_number(drawn, boxes):
    zones = [Zone(name="z", polygon=tuple(points), anchor=anchor) for points, anchor in drawn]
    found = held(zones, boxes)
    for (points, anchor), row in zip(drawn, found, strict=True):
        for (x1, y1, x2, y2), is_held in zip(boxes, row, strict=True):
            point = (x1 + x2) / 2, y2 if anchor == "bottom" else (y1 + y2) / 2
            if slow.distance_to_border(point, points) > 1e-6:
                assert is_held == slow.is_inside(point, points)


@settings(max_examples=20)
@given(polygons(), BOXES)
def test_the_covered_share_of_a_box_is_that_of_a_grid(points, boxes):
    boxes = [box for box in boxes if min(box[2] - box[0], box[3] - box[1]) > 0.02]
    zone = Zone(name="z", polygon=tuple(points), anchor="overlap")
    found = Areas([zone])._covered(corners(boxes))[0]
    assert found == pytest.approx([slow.covered(box, points) for box in boxes], abs=0.08)


def test_a_box_that_the_frame_cuts_off_stands_in_a_zone_at_the_frames_edge():
    zone = Zone(name="z", polygon=((0, 0.5), (1, 0.5), (1, 1), (0, 1)))
    assert held([zone], [(0.4, 0.2, 0.6, 1.0), (1, 0.2, 1, 1), (0, 0.2, 0, 1.0)]).all()


def test_a_box_without_an_area_overlaps_nothing():
    zone = Zone(name="z", polygon=((0, 0), (1, 0), (1, 1), (0, 1)), anchor="overlap")
    assert not held([zone], [(0.5, 0.5, 0.5, 0.7)]).any()


def test_zones_of_different_numbers_of_corners_do_not_disturb_each_other():
    triangle = Zone(name="a", polygon=((0, 0), (1, 0), (0, 1)))
    square = Zone(name="b", polygon=((0, 0), (0.5, 0), (0.5, 0.5), (0, 0.5)), anchor="overlap")
    boxes = [(0.1, 0.1, 0.3, 0.3), (0.6, 0.1, 0.8, 0.2), (0.8, 0.8, 0.9, 0.9)]
    assert held([triangle, square], boxes).tolist() == [[True, True, False], [True, False, False]]
    assert held([square, triangle], boxes).tolist() == [[True, False, False], [True, True, False]]


POINT = st.tuples(st.integers(0, 8), st.integers(0, 8)).map(lambda p: (p[0] / 8, p[1] / 8))


@given(POINT, POINT, POINT, POINT, st.floats(0.3, 3))
def test_a_way_leads_through_a_line_or_past_it_exactly(start, end, one, two, aspect):
    """Eighths, so that the arithmetic of both is exact."""
    assume(start != end)
    lines = Lines([Line(name="l", start=start, end=end)], aspect)
    boxes = corners([(x, y, x, y) for x, y in (one, two)])
    past = lines.past(boxes)[0]
    assume(np.abs(past).min() > 1e-9)  # on the line itself is neither side
    leads_through = past.prod() < 0 and lines.is_through(0, boxes[..., 0], boxes[..., 1])
    assert leads_through == slow.crosses(one, two, start, end)


def test_right_of_a_line_is_right_of_who_looks_along_it_in_frame_heights():
    upwards = Line(name="l", start=(0.5, 1), end=(0.5, 0))
    boxes = corners([(0.75, 0, 0.75, 0.5), (0.25, 0, 0.25, 0.5)])
    np.testing.assert_allclose(Lines([upwards], 2.0).past(boxes), [[0.5, -0.5]])


def test_metres_are_those_of_the_four_points_and_in_perspective_between_them():
    image = ((0.4, 0.5), (0.6, 0.5), (0.9, 1.0), (0.1, 1.0))
    ground = Ground(image=image, metres=((0, 20), (4, 20), (4, 0), (0, 0)))
    scale = GroundScale(ground)
    for point, metres in zip(image, ground.metres, strict=True):
        np.testing.assert_allclose(scale.metres(np.array(point)), metres, atol=1e-9)
    # The diagonals of the trapezium meet where those of the rectangle do.
    x, y = scale.metres(np.array([0.5, 0.6]))
    assert (x, y) == (pytest.approx(2), pytest.approx(10))


def test_beyond_the_horizon_there_are_no_metres():
    ground = Ground(
        image=((0.4, 0.5), (0.6, 0.5), (0.9, 1.0), (0.1, 1.0)),
        metres=((0, 20), (4, 20), (4, 0), (0, 0)),
    )
    assert np.isnan(GroundScale(ground).metres(np.array([0.5, 0.2]))).all()


def test_boxes_become_shares_of_the_frame():
    found = factories.detections(2)
    boxes = shares(found, (200, 100))
    np.testing.assert_allclose(boxes[1, 0], found.boxes[:, 2] / 200)
    np.testing.assert_allclose(boxes[0, 1], found.boxes[:, 1] / 100)
