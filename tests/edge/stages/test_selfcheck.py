"""A camera that is covered, moved, blurred, dark or frozen is told; a clean one never is."""

from __future__ import annotations

from dataclasses import replace

import cv2
import factories
import numpy as np
import pytest

from edge.capture.look import Looker
from edge.capture.picture import Picture
from edge.capture.synthetic import SCENES_FOLDER
from edge.config.selfcheck import Selfcheck
from edge.stages.selfcheck import SelfCheck

pytestmark = pytest.mark.board

NS = 1_000_000_000
MODEL = factories.manifest().description(None)
WHOLE = cv2.resize(cv2.imread(str(SCENES_FOLDER / "coffee.jpg")), (480, 320))
VIEW = WHOLE[40:280, 60:420]
NOISES = np.random.default_rng(7).normal(0, 2, (8, *VIEW.shape)).astype(np.float32)


class Camera:
    """Shows a self-check a picture each second."""

    def __init__(self, **settings):
        self.memory = {}
        self.stage = SelfCheck(Selfcheck(**settings), MODEL, self.memory)
        self.now_s = 0
        self.looker = Looker()

    def shows(self, image, *, seconds, step_s=1, heads=None, is_frozen=False):
        """Return the health after so many seconds of an image with a sensor's noise."""
        health = None
        for _ in range(0, seconds, step_s):
            noisy = np.clip(image + NOISES[self.now_s % 8], 0, 255).astype(np.uint8)
            look = replace(self.looker.at(Picture(noisy, 0, 0, 0)), is_frozen=is_frozen)
            at_ns = self.now_s * NS
            seen = factories.observation(source_ns=at_ns, captured_utc_ns=at_ns)
            seen = replace(seen, look=look, heads=heads or {})
            health = self.stage.process(seen).health
            self.now_s += step_s
        return health


def covered():
    view = VIEW.copy()
    view[:, :250] = (90, 120, 60)
    return view


FAULTS = [
    pytest.param("covered", covered(), id="covered"),
    pytest.param("moved", WHOLE[40:280, 95:455], id="moved"),
    pytest.param("blurred", cv2.GaussianBlur(VIEW, (0, 0), 5), id="blurred"),
    pytest.param("dark", VIEW // 12, id="dark"),
]


@pytest.mark.parametrize(("state", "image"), FAULTS)
def test_a_fault_is_told_by_its_name_within_a_minute_and_taken_back_when_it_is_over(state, image):
    camera = Camera()
    assert camera.shows(VIEW, seconds=120).state == "ok"

    told = camera.shows(image, seconds=40)
    later = camera.shows(image, seconds=40)

    assert told.state == state
    assert told.reason
    assert later == told
    assert told.since_utc_ns in (120 * NS, 121 * NS)  # a move must be the same for two looks
    assert camera.shows(VIEW, seconds=40).state == "ok"


@pytest.mark.parametrize(("state", "image"), FAULTS)
def test_what_lasts_less_than_the_hold_time_is_not_told(state, image):
    camera = Camera()
    camera.shows(VIEW, seconds=60)

    assert camera.shows(image, seconds=10).state == "ok", state
    assert camera.shows(VIEW, seconds=20).state == "ok"


def test_a_frozen_camera_is_told_at_once_since_the_capture_has_held_it():
    camera = Camera()
    camera.shows(VIEW, seconds=40)

    assert camera.shows(VIEW, seconds=1, is_frozen=True).state == "frozen"
    assert camera.shows(VIEW, seconds=20).state == "ok"


def test_dusk_and_dawn_are_no_fault():
    camera = Camera()
    camera.shows(VIEW, seconds=60)
    states = set()
    for minute in [*range(25), *range(25, 0, -1)]:
        states.add(camera.shows(VIEW * 0.85**minute, seconds=60, step_s=6).state)

    assert states == {"ok"}


def test_a_camera_that_sees_nothing_from_the_start_is_dark():
    assert Camera().shows(VIEW * 0.01, seconds=30).state == "dark"


def test_a_state_that_is_ignored_is_not_told():
    camera = Camera(ignore=("dark",))
    camera.shows(VIEW, seconds=60)

    assert camera.shows(VIEW * 0.05, seconds=60).state == "ok"


def test_a_camera_that_may_move_is_still_told_to_be_covered():
    camera = Camera(ignore=("moved",))
    camera.shows(VIEW, seconds=60)
    moved = WHOLE[40:280, 95:455]

    assert camera.shows(moved, seconds=600, step_s=5).state == "ok"
    assert camera.shows(covered(), seconds=40).state == "covered"


def test_a_new_place_is_the_usual_one_after_a_day():
    camera = Camera()
    camera.shows(VIEW, seconds=60)
    moved = WHOLE[40:280, 95:455]
    assert camera.shows(moved, seconds=40).state == "moved"

    next(iter(camera.memory.values()))._told_s = 86_400
    accepted = camera.shows(moved, seconds=1)
    assert accepted.state == "ok"
    assert "usual" in accepted.reason
    assert camera.shows(moved, seconds=60).state == "ok"


def test_a_file_that_begins_again_is_no_fault():
    camera = Camera()
    states = set()
    for _ in range(3):
        states.add(camera.shows(VIEW, seconds=60).state)
        camera.now_s = 0

    assert states == {"ok"}


def test_cameras_have_a_scene_each_and_it_goes_on_with_another_stage():
    memory = {}
    first = SelfCheck(Selfcheck(), MODEL, memory)
    look = Looker().at(Picture(VIEW, 0, 0, 0))
    first.process(replace(factories.observation(camera="door"), look=look))
    again = SelfCheck(Selfcheck(hold_s=30), MODEL, memory)
    again.process(replace(factories.observation(camera="gate"), look=look))
    again.process(replace(factories.observation(camera="door"), look=look))

    assert {name: camera.scene.looks for name, camera in memory.items()} == {"door": 2, "gate": 1}


def test_an_observation_without_a_look_keeps_the_health():
    stage = SelfCheck(Selfcheck(), MODEL, {})

    health = stage.process(factories.observation()).health

    assert (health.state, health.reason) == ("ok", "")


def test_another_model_goes_on_with_the_scene_and_begins_a_world_of_its_own():
    camera = Camera()
    heads = {"scores": np.zeros((1, 90, 4), np.int8)}
    camera.shows(VIEW, seconds=40, heads=heads)
    (known,) = camera.memory.values()
    assert known.worlds

    other = replace(MODEL, digest="sha256:1")
    camera.stage = SelfCheck(Selfcheck(), other, camera.memory)

    assert (known.model, known.worlds, known.scene.looks) == ("sha256:1", {}, 40)


def test_heads_that_come_between_the_looks_tell_of_another_world_too():
    """As of `[regions]`, where a frame with a look need not be one that is seen whole."""
    rng = np.random.default_rng(3)
    usual, other = (
        {"scores": rng.normal(mean, 20, (1, 500, 4)).clip(-128, 127).astype(np.int8)}
        for mean in (0, 90)
    )
    camera = Camera(hold_s=10)
    camera.shows(VIEW, seconds=5, heads=usual)
    (known,) = camera.memory.values()
    for world in known.worlds.values():
        world.is_known, world.spread = True, {"scores": 0.05}

    for _ in range(400):
        at_ns = (camera.now_s - 1) * NS + NS // 2
        seen = factories.observation(source_ns=at_ns, captured_utc_ns=at_ns)
        camera.stage.process(replace(seen, look=None, heads=other))
        health = camera.shows(VIEW, seconds=1)

    assert health.state == "strange"
    assert "of head 'scores' is other than usual" in health.reason
