from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.capture.synthetic import FRAMES_PER_SCENE, SCENES
from edge.capture.view import View

pytestmark = pytest.mark.board

sides_px = st.integers(1, 8192)
sizes_wh = st.tuples(sides_px, sides_px)
permille = st.integers(0, 1000)
views = st.builds(View, permille, permille, st.integers(1, 1000))


@given(view=views, photo_wh=sizes_wh, frame_wh=sizes_wh)
def test_a_view_lies_inside_the_photograph(view, photo_wh, frame_wh):
    x, y, width, height = view.rectangle(photo_wh, frame_wh)
    assert width >= 1
    assert height >= 1
    assert 0 <= x <= x + width <= photo_wh[0]
    assert 0 <= y <= y + height <= photo_wh[1]


@given(view=views, photo_wh=sizes_wh, frame_wh=sizes_wh)
def test_a_view_has_the_frames_aspect_to_the_pixel(view, photo_wh, frame_wh):
    _, _, width, height = view.rectangle(photo_wh, frame_wh)
    exact = Fraction(width * frame_wh[1], frame_wh[0])
    assert height == 1 or exact - 1 < height <= exact or height == photo_wh[1]


@given(first=views, last=views, steps=st.integers(1, 300), data=st.data())
def test_a_move_stays_between_its_ends_and_never_turns_back(first, last, steps, data):
    step = data.draw(st.integers(0, steps - 1))
    here = first.towards(last, step=step, steps=steps)
    there = first.towards(last, step=step + 1, steps=steps)
    for name in ("x", "y", "zoom"):
        begin, a, b, end = (getattr(view, name) for view in (first, here, there, last))
        ordered = [begin, a, b, end] if begin <= end else [end, b, a, begin]
        assert ordered == sorted(ordered)


@given(first=views, last=views, steps=st.integers(1, 300))
def test_a_move_starts_and_ends_where_it_says(first, last, steps):
    assert first.towards(last, step=0, steps=steps) == first
    assert first.towards(last, step=steps, steps=steps) == last


@given(first=views, last=views, steps=st.integers(1, 300), data=st.data())
def test_a_move_follows_smoothstep_to_the_permille(first, last, steps, data):
    step = data.draw(st.integers(0, steps))
    t = Fraction(step, steps)
    exact = first.x + (last.x - first.x) * t * t * (3 - 2 * t)
    assert abs(first.towards(last, step=step, steps=steps).x - exact) < 1


@pytest.mark.parametrize("scene", SCENES, ids=[name for name, _, _ in SCENES])
def test_no_scene_jumps_by_more_than_two_percent_of_the_photograph(scene):
    _, first, last = scene
    steps = FRAMES_PER_SCENE - 1
    moves = [first.towards(last, step=step, steps=steps) for step in range(steps + 1)]
    for a, b in pairwise(moves):
        assert max(abs(a.x - b.x), abs(a.y - b.y), abs(a.zoom - b.zoom)) <= 20
