"""What one camera shows, and what is asked of its capture for that."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from factories import observation

from edge.config.reading import parse
from edge.config.web import Web
from edge.results.observation import Event
from edge.web.view import View

pytestmark = pytest.mark.board


class Capture:
    """Counts the wishes that it has."""

    camera = "front"
    is_away = False

    def __init__(self):
        self.wishes = 0

    def want_picture(self, _px):
        self.wishes += 1
        return self.end

    def end(self):
        self.wishes -= 1


@pytest.fixture
def parts():
    model = SimpleNamespace(description=None)
    return SimpleNamespace(captures=(Capture(),), model=model, config=None)


@pytest.fixture
def view(parts):
    with ThreadPoolExecutor(1) as painter:
        yield View("front", parts, web=Web(), painter=painter)


def test_a_wish_lasts_until_a_picture_comes_whoever_gives_up_meanwhile(view, parts):
    view.wish()
    assert view.picture(0, timeout_s=0.01) is None
    view.wish()
    assert parts.captures[0].wishes == 1

    view.observe(observation(picture=np.zeros((2, 2, 3), np.uint8)))
    assert parts.captures[0].wishes == 0


def test_a_camera_that_was_opened_anew_is_asked_anew(view, parts):
    view.wish()
    before, parts.captures = parts.captures[0], (Capture(),)
    view.wish()
    assert (before.wishes, parts.captures[0].wishes) == (0, 1)

    parts.captures = ()
    view.wish()
    view.close()
    assert before.wishes == 0


def test_what_is_counted_goes_on_when_a_camera_counts_anew(view):
    for dropped in (0, 5, 2, 3):
        view.observe(observation(dropped_frames=dropped))

    assert (view.frames, view.dropped) == (4, 8)


def test_the_newest_events_are_kept_without_their_paths(view):
    path = ((0.1, 0.1), (0.5, 0.5))
    for number in range(60):
        box = (0, 0, 1, 1)
        event = Event(str(number), "enter", "front", "cup", 1, "a", "", 0, None, 1, box, path)
        view.observe(observation(events=(event,)))

    assert [event.id for event in view.events] == [str(number) for number in range(10, 60)]
    assert {event.path for event in view.events} == {()}


@pytest.mark.parametrize(
    ("sections", "silent_s", "is_well"),
    [
        ({}, 5, True),
        ({}, 20, False),
        ({"camera": {"name": "front", "rate_hz": 0.1}}, 20, True),
        ({"regions": {"sweep_s": 30}}, 60, True),
        ({"regions": {"sweep_s": 30}}, 100, False),
    ],
)
def test_a_camera_that_is_asked_for_few_frames_has_time_for_them(
    view, parts, sections, silent_s, is_well
):
    parts.config = parse(sections)
    view.observe(observation())
    view.seen_s -= silent_s

    assert (view.trouble() == "") is is_well
