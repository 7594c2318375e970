"""The watchdog is fed by frames that came out, or where none is to be expected; by nothing else."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from edge.service.life import LOOP_S, SOUND_S, STATUS_EVERY_S, Life, Signs, mode_message, signs_of

pytestmark = pytest.mark.board


class Told:
    """A notifier that keeps what it is told."""

    watchdog_s = 30.0

    def __init__(self):
        self.told = []
        self.texts = []

    def ready(self, _):
        self.told.append("ready")

    def tell(self, line):
        self.told.append({"WATCHDOG=1": "feed"}.get(line, "status"))
        if line.startswith("STATUS="):
            self.texts.append(line.removeprefix("STATUS="))

    def reloading(self):
        self.told.append("reloading")

    def words(self):
        told, self.told = self.told, []
        return told


@pytest.fixture
def life():
    now = [100.0]
    sound = []
    told = Told()
    life = Life(told, on_sound=lambda: sound.append(now[0]), clock=lambda: now[0])

    def look(frames, *, at, polled=None, cameras=1, away=(), connected=None):
        now[0] = at
        polled = at if polled is None else polled
        life.look(Signs(frames, polled, cameras, tuple(away), connected))
        return told.words()

    look.life, look.told, look.sound = life, told, sound
    return look


def test_it_is_ready_with_the_first_frame_and_fed_by_each_further_one(life):
    assert life(0, at=100) == []
    assert life(0, at=101) == []
    assert life(1, at=102)[:2] == ["feed", "ready"]
    assert life(31, at=103)[0] == "feed"
    assert "feed" not in life(31, at=104)


def test_a_loop_that_turns_without_frames_starves_the_watchdog_and_the_log_says_so_once(
    life, caplog
):
    life(1, at=100)
    said = [word for second in range(101, 140) for word in life(1, at=second)]
    assert "feed" not in said
    (message,) = caplog.messages
    assert message == (
        "no frame has come out for 16 s, and no camera is known to be away: "
        "at 30 s the watchdog ends this process, to be started anew"
    )
    life(2, at=140)
    assert "feed" in life(3, at=141)


def test_where_every_camera_is_known_to_be_away_it_is_ready_and_fed_as_long_as_the_loop_turns(life):
    assert life(0, at=100, away=["door"])[:2] == ["feed", "ready"]
    assert "feed" in life(0, at=101, away=["door"])
    assert "feed" not in life(0, at=110, away=["door"], polled=110 - LOOP_S)


def test_one_camera_that_is_away_excuses_no_other(life):
    life(1, at=100, cameras=2)
    assert "feed" not in life(1, at=101, cameras=2, away=["door"])


def test_a_folder_of_images_that_has_ended_does_not_starve_a_camera_that_is_away(life):
    captures = [
        SimpleNamespace(camera="images", ended=True, is_away=False),
        SimpleNamespace(camera="door", ended=False, is_away=True),
    ]
    frames = SimpleNamespace(polled_s=101.0)
    parts = SimpleNamespace(
        captures=captures, publisher=None, cameras=SimpleNamespace(frames=frames)
    )
    signs = signs_of(parts, SimpleNamespace(times=SimpleNamespace(frames=1)))
    life(1, at=100)
    assert "feed" in life(*signs[:1], at=101, cameras=signs.cameras, away=signs.away)


def test_its_status_is_one_line_and_seldom(life):
    for second in range(11):
        life(30 * second + 1, at=101 + second, cameras=2, away=["door"], connected=True)
    assert len(life.told.texts) == 10 // STATUS_EVERY_S
    assert life.told.texts[-1] == "30.0 frames/s from 1 of 2 cameras (away: door); broker connected"


def test_a_start_is_good_when_it_has_lasted(life):
    life(1, at=100)
    life(2, at=100 + SOUND_S - 0.1)
    assert life.sound == []
    life(2, at=100 + SOUND_S)
    assert life.sound == []
    life(3, at=101 + SOUND_S)
    life(4, at=120 + SOUND_S)
    assert life.sound == [101 + SOUND_S]


def test_a_reload_begins_and_ends(life):
    life(1, at=100)
    life.life.reloading()
    life.life.reloaded()
    assert life.told.words() == ["reloading", "ready"]


def test_a_reload_before_the_first_frame_makes_nothing_ready(life):
    life.life.reloading()
    life.life.reloaded()
    assert life.told.words() == ["reloading"]
    assert "ready" in life(1, at=100)


def test_the_mode_is_kept_by_the_broker():
    message = mode_message("roof", "safe", reason="why")
    assert (message.topic, message.retain, message.policy) == ("edge/roof/mode", True, "state")
    assert json.loads(message.payload) == {
        "schema_version": 1, "device": "roof", "mode": "safe", "reason": "why",
    }  # fmt: skip
