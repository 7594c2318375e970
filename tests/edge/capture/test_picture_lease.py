"""A frame carries a picture while somebody wants one, and costs nothing while nobody does."""

from __future__ import annotations

import pytest
from frames import CountingSource, buffers, take

from edge.capture.latest import CaptureThread
from edge.capture.picture import Scaler

pytestmark = pytest.mark.board

LONG_S = 10.0


def test_nobody_who_asks_for_no_picture_gets_one():
    with CaptureThread(CountingSource(count=5, live=False), buffers(), camera="door") as capture:
        assert [take(capture, LONG_S).picture for _ in range(5)] == [None] * 5


def test_without_a_lease_not_a_byte_is_copied(monkeypatch):
    def never(*_args, **_keywords):
        pytest.fail("a picture was made")

    monkeypatch.setattr(Scaler, "reduced", never)
    source = CountingSource(count=100, live=False)
    with CaptureThread(source, buffers(), camera="door") as capture:
        capture.want_picture(640)()
        while take(capture, LONG_S) is not None:
            pass
    assert source.reads == 100


def test_a_picture_comes_while_somebody_wants_one_as_large_as_the_largest_wish():
    source = CountingSource(count=1000, live=False, permits=0)  # of 16 x 8 pixels

    def shape_of_next():
        source.permit(1)
        picture = take(capture, LONG_S).picture
        return None if picture is None else picture.shape

    with CaptureThread(source, buffers(), camera="door") as capture:
        assert shape_of_next() is None
        small, large = capture.want_picture(4), capture.want_picture(8)
        assert shape_of_next() == (4, 8, 3)
        large()
        assert shape_of_next() == (2, 4, 3)
        small()
        small()
        assert shape_of_next() is None


def test_a_picture_is_its_receivers_to_keep():
    with CaptureThread(CountingSource(count=50, live=False), buffers(), camera="door") as capture:
        capture.want_picture(100)
        frames = list(iter(lambda: take(capture, LONG_S), None))
    kept = {frame.sequence: frame.picture for frame in frames if frame.picture is not None}
    assert len(kept) >= 48  # the lease may have come after the first two
    for sequence, picture in kept.items():
        assert picture.shape == (8, 16, 3)
        assert (picture == sequence % 251).all()
