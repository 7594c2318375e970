"""A changed configuration is followed without losing a frame; what can't be followed is named."""

from __future__ import annotations

import json
import os

import pytest
from broker import Listener, Mosquitto
from live_runs import live_run
from waiting import eventually

pytestmark = pytest.mark.board

CAMERA = """
[[camera]]
name = "{name}"
source = "demo:"
realtime = false
rate_hz = {rate_hz}
size_wh = [320, 240]
"""
TRACKING = "[tracking]\n"


def written(path, *parts, sink="a"):
    sinks = f'[[sink]]\nkind = "jsonl"\npath = "{path.parent}/{sink}.jsonl"\n'
    path.write_text("\n".join([f'[device]\nname = "{path.parent.name}"', *parts, sinks]))


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "device.toml"
    written(path, CAMERA.format(name="door", rate_hz=100))
    return path


def told(folder, name):
    lines = (folder / f"{name}.jsonl").read_text().splitlines()
    return [json.loads(line)["sequence"] for line in lines]


def test_sinks_are_exchanged_and_each_frame_is_told_once_to_one_of_them(path, tmp_path):
    with live_run(path) as run:
        assert run.wait_for(3)
        written(path, CAMERA.format(name="door", rate_hz=100), sink="b")
        answer = run.ask("reload")
        assert run.wait_for(3)

    assert answer.message == "new: [sink]"
    first, second = told(tmp_path, "a"), told(tmp_path, "b")
    assert first
    assert second
    assert first + second == list(range(len(run.seen)))


def heard(listener):
    return [json.loads(each)["sequence"] for each in listener.payloads("edge/d/door/detections")]


@pytest.mark.broker
def test_the_broker_may_be_another_one_or_asked_otherwise_and_misses_no_frame(
    path, tmp_path, mosquitto
):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    with Mosquitto(mosquitto, folders[0]) as one, Mosquitto(mosquitto, folders[1]) as two:

        def use(broker, more=""):
            url = (
                f'[mqtt]\nurl = "mqtt://127.0.0.1:{broker.port}"\n{more}\n[output]\njsonl = false\n'
            )
            device = '[device]\nname = "d"\nwatch_file = false\n'
            path.write_text(device + CAMERA.format(name="door", rate_hz=50) + url)

        use(one)
        with Listener(one.port) as first, Listener(two.port) as second:
            with live_run(path) as run:
                assert eventually(lambda: len(heard(first)) > 3, timeout_s=60)
                connects = one.log.count("New client connected")
                use(one, "[tracking]")
                assert run.ask("reload").message == "new: [tracking]"
                assert run.wait_for(3)
                assert one.log.count("New client connected") == connects
                use(one, "keepalive_s = 20")
                assert run.ask("reload").message == "new: [tracking], [mqtt]"
                assert run.wait_for(3)
                use(two)
                assert run.ask("reload").message == "new: [mqtt]"
                assert run.wait_for(3)
                assert eventually(lambda: heard(second), timeout_s=60)
            # The new one is told what holds, as if it had been there from the start.
            states = ("edge/d/model", "edge/d/settings", "edge/d/door/status")
            assert eventually(lambda: all(second.payloads(topic) for topic in states))
            every = [*range(len(run.seen))]
            assert eventually(lambda: sorted({*heard(first), *heard(second)}) == every)
            assert max(heard(first)) < min(heard(second))


def test_one_camera_of_several_comes_changes_and_goes_and_the_others_miss_nothing(path):
    door = CAMERA.format(name="door", rate_hz=50)
    with live_run(path) as run:
        written(path, door, CAMERA.format(name="gate", rate_hz=50))
        assert run.ask("reload").message == "new: camera door, camera gate"
        assert eventually(lambda: len(run.sequences("gate")) > 2, timeout_s=60)
        began = len(run.sequences("door"))
        written(path, door, CAMERA.format(name="gate", rate_hz=40))
        assert run.ask("reload").message == "new: camera gate"
        assert eventually(lambda: run.sequences("gate").count(0) == 2, timeout_s=60)
        written(path, door)
        assert run.ask("reload").message == "new: camera gate"
        assert run.wait_for(2)
        gone = len(run.sequences("gate"))
        assert run.wait_for(5)

    own = run.sequences("door")[began:]
    assert own == list(range(own[0], own[0] + len(own)))
    assert len(run.sequences("gate")) == gone


def test_a_camera_that_is_paused_stays_so_when_it_is_opened_anew_or_comes_back(path):
    door, gate = (CAMERA.format(name=name, rate_hz=50) for name in ("door", "gate"))
    written(path, door, gate)
    with live_run(path) as run:
        assert run.ask("enabled", enabled=False, camera="gate").ok
        for cameras in ([door, gate.replace("50", "40")], [door], [door, gate]):
            written(path, *cameras)
            assert run.ask("reload").ok
        seen = len(run.sequences("gate"))
        assert run.wait_for(5)
        assert len(run.sequences("gate")) == seen
        assert run.ask("enabled", enabled=True).settings["paused"] == []
        assert eventually(lambda: len(run.sequences("gate")) > seen, timeout_s=60)


def test_the_only_camera_may_change_and_the_run_goes_on(path):
    with live_run(path) as run:
        assert run.wait_for(3)
        written(path, CAMERA.format(name="other", rate_hz=100))
        assert run.ask("reload").ok
        assert eventually(lambda: len(run.sequences("other")) > 3, timeout_s=60)


def test_a_camera_that_cannot_be_opened_is_named_and_what_was_before_goes_on(path, tmp_path):
    with live_run(path) as run:
        assert run.wait_for(3)
        config = run.parts.config
        broken = config.cameras[0].replace(source=f"file:{tmp_path}/none.mp4")
        faults = run.parts.cameras.follow((broken,))
        assert run.wait_for(3)
        assert run.parts.cameras.opened == config.cameras

    assert "none.mp4" in faults[0]


def test_stages_follow_and_what_cannot_is_named(path):
    with live_run(path) as run:
        written(path, CAMERA.format(name="door", rate_hz=100), TRACKING, "[model]\nworkers = 2\n")
        answer = run.ask("reload")
        assert run.wait_for(3)
        assert run.parts.memory["track"]["door"]

    assert answer.message == (
        "new: [tracking]; restart for [model] workers: the cores are divided at the start"
    )
    assert run.sequences("door") == list(range(len(run.seen)))
    assert run.parts.config.model.workers == 1


def test_a_changed_file_is_followed_by_itself_and_an_unsound_one_changes_nothing(path, caplog):
    with live_run(path) as run:
        before = run.parts.config
        path.write_text("[model]\nscore_treshold = 0.1\n")
        assert eventually(lambda: "score_treshold" in caplog.text, timeout_s=60)
        assert run.parts.config == before
        written(path, CAMERA.format(name="door", rate_hz=100), TRACKING)
        assert eventually(lambda: run.parts.config.tracking, timeout_s=60)
        assert run.wait_for(1)


def test_a_file_that_is_not_watched_waits_for_a_request(path):
    text = path.read_text().replace("[device]", "[device]\nwatch_file = false")
    path.write_text(text)
    with live_run(path) as run:
        path.write_text(text + TRACKING)
        os.utime(path)
        run.control._tick()
        run.control._tick()
        assert run.parts.config.tracking is None
        assert run.ask("reload").message == "new: [tracking]"
