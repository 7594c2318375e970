from __future__ import annotations

import hashlib
import json
import platform
import threading
import time
import tracemalloc
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.capture.options import SourceOptions
from edge.capture.synthetic import FRAMES_PER_SCENE, SCENES, SCENES_FOLDER, Scenes, View, open_demo
from edge.errors import SourceError

pytestmark = pytest.mark.board

GOLDEN = json.loads(
    (Path(__file__).resolve().parents[2] / "golden" / "demo_frames.json").read_text("utf-8")
)
# The digests were made on x86-64; the arithmetic is integer, but another build may have its own.
DIGEST_MACHINES = ("x86_64", "AMD64")
TOLERANCE_LEVELS = 2.0
FAST = SourceOptions(realtime=False)


@pytest.fixture(scope="module")
def demo():
    return Scenes()


def rendered(scenes: Scenes, index: int, size_wh: tuple[int, int]) -> np.ndarray:
    image = np.empty((size_wh[1], size_wh[0], 3), np.uint8)
    scenes.render(index, out=image)
    return image


def golden_frame(scenes: Scenes, name: str) -> np.ndarray:
    size, _, index = name.split(" ")
    width, height = map(int, size.split("x"))
    return rendered(scenes, int(index), (width, height))


@pytest.mark.skipif(
    platform.machine() not in DIGEST_MACHINES, reason="digests are of x86-64; the means are tested"
)
@pytest.mark.parametrize("name", GOLDEN)
def test_a_frame_is_the_same_bytes_as_ever(demo, name):
    assert hashlib.sha256(golden_frame(demo, name)).hexdigest() == GOLDEN[name]["sha256"]


@pytest.mark.parametrize("name", GOLDEN)
def test_a_frame_shows_what_it_ever_showed(demo, name):
    expected = np.array(GOLDEN[name]["means"])
    image = golden_frame(demo, name)
    rows, columns = expected.shape
    cells = [np.array_split(band, columns, axis=1) for band in np.array_split(image, rows, axis=0)]
    means = np.array([[cell[..., 1].mean() for cell in row] for row in cells])
    assert np.abs(means - expected).max() <= TOLERANCE_LEVELS


def test_frames_are_1280x720_unless_another_size_is_asked_for():
    with open_demo("", FAST) as source:
        assert source.read(None).pixels.shape == (720, 1280, 3)
    with open_demo("", SourceOptions(realtime=False, size_wh=(300, 400))) as source:
        assert source.read(None).pixels.shape == (400, 300, 3)


def test_reading_gives_frame_after_frame_from_the_first(demo):
    with open_demo("", SourceOptions(realtime=False, size_wh=(64, 36))) as source:
        for index in range(2 * FRAMES_PER_SCENE):
            assert (source.read(None).pixels == rendered(demo, index, (64, 36))).all()


def test_the_scenes_come_round_again(demo):
    period = FRAMES_PER_SCENE * len(SCENES)
    assert (rendered(demo, 7, (64, 36)) == rendered(demo, 7 + period, (64, 36))).all()


def test_the_view_moves_a_little_from_frame_to_frame_and_cuts_between_scenes(demo):
    frames = [
        rendered(demo, index, (320, 180)).astype(int) for index in range(FRAMES_PER_SCENE + 1)
    ]
    steps = [np.abs(b - a).mean() for a, b in pairwise(frames)]
    assert 3 * max(steps[:-1]) < steps[-1]
    assert sum(step > 0 for step in steps[:-1]) > FRAMES_PER_SCENE // 2


def test_a_buffer_that_fits_is_used_and_another_is_left_alone():
    fitting = np.zeros((720, 1280, 3), np.uint8)
    other = np.zeros((72, 128, 3), np.uint8)
    with open_demo("", FAST) as source:
        assert source.read(fitting).pixels is fitting
        assert source.read(other).pixels is not other
    assert not other.any()


def test_reading_into_a_buffer_allocates_nothing_that_grows_with_the_image():
    with open_demo("", FAST) as source:
        buffer = source.read(None).pixels
        source.read(buffer)
        tracemalloc.start()
        before_bytes, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in range(50):
            source.read(buffer)
        after_bytes, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak_bytes - before_bytes < 4096
    assert after_bytes - before_bytes < 1024


def test_the_demo_is_live_and_paced_by_default():
    with open_demo("", SourceOptions(rate_hz=100.0, size_wh=(32, 18))) as source:
        assert source.live
        source.read(None)
        began_s = time.monotonic()
        for _ in range(10):
            source.read(None)
        assert time.monotonic() - began_s >= 0.095


def test_the_rate_never_changes_what_a_frame_holds(demo):
    with open_demo("", SourceOptions(rate_hz=500.0, size_wh=(32, 18))) as source:
        for index in range(5):
            assert (source.read(None).pixels == rendered(demo, index, (32, 18))).all()


def test_interrupting_ends_a_wait_for_the_next_frame():
    with open_demo("", SourceOptions(rate_hz=0.01, size_wh=(32, 18))) as source:
        source.read(None)
        threading.Timer(0.05, source.interrupt).start()
        began_s = time.monotonic()
        assert source.read(None) is None
        assert time.monotonic() - began_s < 10


def test_closing_twice_does_nothing_and_a_closed_source_has_ended():
    source = open_demo("", FAST)
    source.close()
    source.close()
    assert source.read(None) is None


def test_demo_takes_nothing_after_its_colon():
    with pytest.raises(
        SourceError, match=r"takes nothing after its colon, got 'fast'; write demo:"
    ):
        open_demo("fast", FAST)


def test_each_photograph_is_shipped_and_its_rights_are_stated():
    licence = (SCENES_FOLDER / "LICENSE.txt").read_text("utf-8")
    for name, _, _ in SCENES:
        assert (SCENES_FOLDER / name).is_file()
        assert name in licence


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
