"""Requests change what runs, one after another; a bad one changes nothing and is answered."""

from __future__ import annotations

import json
import threading

import live_runs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live_runs import live_run
from waiting import eventually

from edge.commands import COMMANDS
from edge.config.mqtt import Mqtt
from edge.config.reading import load
from edge.control import MOST_BYTES, MOST_COMMANDS, MOST_WAITING, Control
from edge.messages.envelope import Received

pytestmark = pytest.mark.board

SINK = """
[[sink]]
kind = "jsonl"
path = "{sink}"
"""
CONFIG = live_runs.CONFIG + SINK


@pytest.fixture
def path(tmp_path, request):
    """Return a configuration's file; the device has the test's own name, as it names its state."""
    path = tmp_path / "device.toml"
    name = f"device-{abs(hash(request.node.nodeid)) % 10**8}"
    path.write_text(CONFIG.format(name=name, sink=tmp_path / "seen.jsonl"))
    return path


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Return one run for what changes nothing."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "device.toml").write_text(CONFIG.format(name="common", sink=folder / "seen.jsonl"))
    with live_run(folder / "device.toml") as run:
        yield run


def test_a_threshold_holds_from_the_next_frame_on_and_no_frame_is_lost(path):
    with live_run(path) as run:
        assert run.wait_for(3)
        answer = run.ask("threshold", score_threshold=0.9, id="a1")
        assert run.wait_for(3)

    assert (answer.ok, answer.id, answer.message) == (True, "a1", "new: score_threshold = 0.9")
    assert answer.settings["score_threshold"] == 0.9
    assert run.parts.running.behaviour.model.thresholds.score == 0.9
    assert run.sequences() == list(range(len(run.seen)))


def test_what_is_saved_holds_at_the_next_start(path):
    with live_run(path) as run:
        answer = run.ask("threshold", score_threshold=0.9, save=True)

    assert answer.message == "new: score_threshold = 0.9; kept over a restart"
    assert load(path, {}).model.score_threshold == 0.9


def test_a_paused_camera_gives_no_frames_and_stays_paused_over_a_restart(path):
    with live_run(path) as run:
        assert run.wait_for(2)
        assert run.ask("enabled", enabled=False).settings["paused"] == ["camera"]
        # Those at hand come out: one is taken, one waits, one is invoked, one is decoded. Then
        # nothing does, whatever else is asked.
        before = len(run.seen)
        assert eventually(run.stands_still)
        count = len(run.seen)
        for _ in range(3):
            assert run.ask("threshold", score_threshold=0.4).ok
        assert run.stands_still()
        assert len(run.seen) == count <= before + 4
    with live_run(path) as run:
        assert run.ask("threshold", score_threshold=0.4).settings["enabled"] is False
        assert run.ask("enabled", enabled=True, camera="camera").ok
        assert run.wait_for(3)
    assert run.sequences() == list(range(run.sequences()[0], run.sequences()[-1] + 1))


def test_zones_are_replaced_by_those_of_a_request_checked_as_in_the_file(path):
    square = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]
    with live_run(path) as run:
        answer = run.ask("zones", zone=[{"name": "mat", "polygon": square}], save=True)
        assert answer.ok, answer.message
        assert answer.settings["zones"] == ["mat"]
        assert run.wait_for(3)
        assert "line" not in answer.message
        crossing = [[0.1, 0.1], [0.9, 0.9], [0.9, 0.1], [0.1, 0.9]]
        wrong = run.ask("zones", zone=[{"name": "bow", "polygon": crossing}])
        assert not wrong.ok
        assert "[zone]" in wrong.message
        line = {"name": "door", "from": [0, 0.5], "to": [1, 0.5]}
        assert run.ask("zones", line=[line]).settings["zones"] == ["mat"]
        assert [each.name for each in run.parts.config.lines] == ["door"]
        assert load(path, {}).zones == run.parts.config.zones
        # What was not saved goes by the file again, and then nothing that was.
        assert run.ask("reload").message == "new: [line]"
        assert run.ask("reload", forget=True).settings["zones"] == []

    assert run.sequences() == list(range(len(run.seen)))
    assert load(path, {}).zones == ()


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        pytest.param("thresold", "{}", "expected a command of threshold", id="no such command"),
        pytest.param("threshold", "{", "expected JSON", id="no JSON"),
        pytest.param("threshold", "{}", "score_threshold: is needed and missing", id="missing"),
        pytest.param("threshold", '{"score_threshold": 2}', "up to 1", id="out of range"),
        pytest.param("threshold", '{"score_treshold": 0.5}', "did you mean", id="misspelled"),
        pytest.param("enabled", '{"enabled": "yes"}', "true or false", id="another type"),
        pytest.param("enabled", '{"enabled": true, "camera": "x"}', "found 'x'", id="no camera"),
        pytest.param("snapshot", '{"camera": "x"}', "found 'x'", id="no such camera"),
        pytest.param("model", "{}", "found no newer one", id="no newer model"),
        pytest.param("model", '{"file": "../x.tflite"}', "without a folder", id="another folder"),
        pytest.param("model", '{"file": "x.tflite"}', "found no 'x.tflite'", id="no model"),
        pytest.param("reload", '{"forget": 1}', "true or false", id="a number"),
    ],
)
def test_a_request_that_is_not_understood_says_what_was_expected(shared, name, arguments, expected):
    answer = shared.ask_raw(name, arguments.encode())

    assert not answer.ok
    assert answer.message.startswith("nothing changed: ")
    assert expected in answer.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["id", "score_threshold", "enabled", "camera", "zone", "line", "mask", "file", "forget", "x"]
)
REQUESTS = st.binary(max_size=64) | st.dictionaries(KEYS, JSON, max_size=4).map(
    lambda fields: json.dumps(fields).encode()
)


@settings(max_examples=60)
@given(name=st.sampled_from([*COMMANDS, "", "a/b"]), arguments=REQUESTS)
def test_no_arguments_end_the_thread(shared, name, arguments):
    if name == "model" or b"forget" in arguments:
        return  # they take their time where they are right by chance
    assert "failed:" not in shared.ask_raw(name, arguments).message
    assert shared.ask("enabled", enabled=True).ok


def test_what_is_too_large_or_too_much_is_refused_at_once(shared):
    answers = []
    Control.request(shared.control, "zones", b" " * (MOST_BYTES + 1), answer=answers.append)
    assert "send less" in answers.pop().message

    idle = Control(shared.parts)  # its thread does not run
    for _ in range(MOST_WAITING + 1):
        idle.request("reload", answer=answers.append)
    assert [answer.ok for answer in answers] == [False]
    assert "ask again" in answers[0].message


def test_a_handler_that_fails_keeps_nobody_from_the_next_request(shared):
    def fail(_):
        raise RuntimeError("own")

    shared.control.request("enabled", b'{"enabled": true}', answer=fail)
    assert shared.ask("enabled", enabled=True).ok


def test_what_cannot_be_saved_is_done_all_the_same_and_said(path, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    with live_run(path) as run:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
        for name, arguments in (
            ("enabled", {"enabled": False}),
            ("threshold", {"score_threshold": 0.9, "save": True}),
        ):
            answer = run.ask(name, **arguments)
            assert answer.ok
            assert "; not saved: " in answer.message
        assert (answer.settings["paused"], answer.settings["score_threshold"]) == (["camera"], 0.9)


def test_what_was_saved_is_not_forgotten_for_a_file_with_a_fault(path):
    sound = path.read_text()
    with live_run(path) as run:
        assert run.ask("threshold", score_threshold=0.9, save=True).ok
        path.write_text("[model]\nscore_treshold = 1\n")
        assert "nothing changed" in run.ask("reload", forget=True).message
        path.write_text(sound)
        assert run.ask("reload").settings["score_threshold"] == 0.9
        assert run.ask("reload", forget=True).settings["score_threshold"] != 0.9


def test_what_still_waits_at_the_end_is_not_begun(shared):
    begun, answers = [], []
    control = Control(shared.parts)
    control._tell = lambda: None
    with control:
        held = threading.Event()
        control._jobs.put(lambda: begun.append(held.wait(60)))
        assert eventually(control._jobs.empty)
        control.request("enabled", b'{"enabled": true}', answer=answers.append)
        control._is_over = True
        held.set()
    assert eventually(lambda: not control._thread.is_alive())
    assert (begun, answers) == ([True], [])


@pytest.mark.parametrize("topic", ["a/#", "+", "edge/common/x", "edge/common"])
def test_an_answer_goes_to_no_topic_that_is_none_or_the_devices_own(shared, monkeypatch, topic):
    sent = []
    monkeypatch.setattr(shared.control, "_send", sent.append)
    mqtt = Mqtt(url="mqtt://localhost", commands=True)
    monkeypatch.setattr(shared.parts, "config", shared.parts.config.replace(mqtt=mqtt))
    given = Received.of(b'{"enabled": true}', response_topic=topic, correlation=b"1")
    shared.control.hear("edge/common/command/enabled", given)
    assert eventually(lambda: [each for each in sent if "/reply/" in each.topic], timeout_s=30)
    assert {each.topic for each in sent} <= {"edge/common/reply/enabled", "edge/common/settings"}


def test_a_flood_is_not_answered_and_ends(shared, monkeypatch):
    monkeypatch.setattr("edge.control.COMMANDS_S", 0.5)
    answers, now_s = [], [100.0]
    control = Control(shared.parts)
    mqtt = Mqtt(url="mqtt://localhost", commands=True)
    monkeypatch.setattr(shared.parts, "config", shared.parts.config.replace(mqtt=mqtt))
    monkeypatch.setattr("edge.control.time.monotonic", lambda: now_s[0])
    monkeypatch.setattr(control, "request", lambda *given, **_: answers.append(given))
    for _ in range(3 * MOST_COMMANDS):
        control.hear("edge/common/command/enabled", Received(b"{}"))
    assert len(answers) == MOST_COMMANDS
    now_s[0] += 0.5
    control.hear("edge/common/command/enabled", Received(b"{}"))
    assert len(answers) == MOST_COMMANDS + 1
