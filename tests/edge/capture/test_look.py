"""A look is taken once a second, and its numbers are those of the picture."""

from __future__ import annotations

import numpy as np
import pytest
from frames import CountingSource, buffers, take
from hypothesis import given
from hypothesis import strategies as st
from waiting import eventually

from edge.capture.latest import CaptureThread
from edge.capture.look import Looker
from edge.capture.picture import Picture, pixel_shape

pytestmark = pytest.mark.board

NS = 1_000_000_000


def plain(level, *, size_wh=(320, 240)):
    return np.full((size_wh[1], size_wh[0], 3), level, np.uint8)


def test_a_picture_is_looked_at_once_a_second_by_the_sources_clock():
    looker = Looker()
    times_s = [0, 0.5, 0.99, 1.0, 1.5, 2.1, 0.3, 0.8]

    looks = [looker.look(Picture(plain(9), 0, 0, 0, file_ns=int(at_s * NS))) for at_s in times_s]

    assert [look is not None for look in looks] == [
        *(True, False, False, True, False, True),
        *(True, False),  # the file began again
    ]


@given(level=st.integers(0, 255))
def test_a_plain_picture_has_its_level_and_no_detail(level):
    look = Looker().at(Picture(plain(level), 0, 0, 0))

    assert look.level == pytest.approx(level)
    assert (look.fine, look.coarse, look.colour) == (0, 0, 0)
    assert look.cells == pytest.approx(level)
    assert not look.edges.any()
    assert look.clipped_ratio == (level <= 1 or level >= 254)


@pytest.mark.parametrize("pixel_format", ["bgr", "nv12", "i420", "j420", "yuyv", "grey"])
def test_every_format_is_looked_at(pixel_format):
    pixels = np.full(pixel_shape(pixel_format, (320, 240)), 128, np.uint8)

    look = Looker().at(Picture(pixels, 0, 0, 0, pixel_format))

    assert look.cells.shape == (24, 32)
    assert abs(look.level - 128) < 4


def test_edges_stand_in_the_cells_and_the_direction_that_have_them():
    image = plain(0)
    image[:, 160:] = 200  # one edge, along y

    look = Looker().at(Picture(image, 0, 0, 0))

    along_x, along_y = look.edges
    assert not along_y.any()
    assert set(np.flatnonzero(along_x.any(axis=0))) == {15, 16}


def test_the_state_of_the_camera_goes_with_the_look():
    assert Looker().at(Picture(plain(9), 0, 0, 0), is_frozen=True).is_frozen


def test_a_look_at_a_frame_that_is_replaced_goes_with_the_next_one():
    source = CountingSource(count=1000, live=True, permits=0)
    with CaptureThread(source, buffers(), camera="door") as capture:
        capture.is_looking = True
        source.permit(5)
        assert eventually(lambda: source.asked == 6)
        first = take(capture, 10.0)
        source.permit(1)
        assert eventually(lambda: source.asked == 7)
        second = take(capture, 10.0)

    assert (first.sequence, first.dropped) == (4, 4)
    assert first.look is not None  # taken at the first of the five: one a second
    assert second.look is None
