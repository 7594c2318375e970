"""What a reload leaves at the broker, and what it does where a part of it cannot be had."""

from __future__ import annotations

import json
import threading

import pytest
from broker import Listener, Mosquitto
from live_runs import live_run
from waiting import eventually

from edge.errors import ConfigError
from edge.reload import FileWatch

pytestmark = pytest.mark.board

CAMERA = """
[[camera]]
name = "{name}"
source = "demo:"
realtime = false
rate_hz = 50
size_wh = [320, 240]
"""
ZONE = """
[[zone]]
name = "mat{camera}"
camera = "{camera}"
polygon = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]
"""
DEVICE = '[device]\nname = "d"\nwatch_file = false\n'
DOOR, GATE = CAMERA.format(name="door"), CAMERA.format(name="gate")


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = tmp_path / "device.toml"
    path.write_text(f'{DEVICE}{DOOR}[[sink]]\nkind = "jsonl"\npath = "seen.jsonl"\n')
    return path


@pytest.mark.broker
def test_the_broker_keeps_nothing_that_nobody_tells_any_more(path, tmp_path, mosquitto):
    def use(*parts):
        path.write_text("\n".join([DEVICE, *parts, url]))
        answer = run.ask("reload")
        assert answer.ok, answer.message

    def last(topic):
        return (listener.payloads(f"edge/d/{topic}") or [None])[-1]

    zones = [ZONE.format(camera=camera) for camera in ("door", "gate")]
    with Mosquitto(mosquitto, tmp_path) as broker, Listener(broker.port) as listener:
        url = f'[mqtt]\nurl = "mqtt://127.0.0.1:{broker.port}"\n'
        path.write_text("\n".join([DEVICE, DOOR, GATE, *zones, "[selfcheck]", url]))
        with live_run(path) as run:
            kept = ("door/counts", "gate/counts", "gate/health")
            assert eventually(lambda: all(last(topic) for topic in kept), timeout_s=60)
            assert "matgate" in json.loads(last("gate/counts"))["counts"]
            # Another threshold is no news of who is where: who tells of changes goes on.
            tellers = run.parts.publisher.tellers
            assert run.ask("threshold", score_threshold=0.4).ok
            assert run.parts.publisher.tellers[2:] == tellers[2:]
            use(DOOR, GATE, zones[0], "[selfcheck]")
            assert eventually(lambda: b"matgate" not in last("gate/counts"), timeout_s=60)
            assert last("door/counts")
            use(DOOR, GATE, zones[0])
            assert eventually(lambda: last("gate/health") == b"", timeout_s=60)
            use(DOOR, GATE)
            assert eventually(lambda: last("door/counts") == b"", timeout_s=60)
            use(GATE, zones[1], "[selfcheck]")
            assert eventually(lambda: last("door/health") == b"", timeout_s=60)
            assert eventually(lambda: [*run.parts.publisher.frames] == ["gate"], timeout_s=60)
            assert last("door/status") == b"offline"
            assert last("gate/counts")


def test_a_camera_that_a_zone_names_may_fail_to_open_and_is_tried_at_the_next_reload(
    path, tmp_path
):
    broken = f'[[camera]]\nname = "gate"\nsource = "file:{tmp_path}/none.mp4"\n'
    rest = path.read_text().removeprefix(DEVICE)
    with live_run(path) as run:
        path.write_text(DEVICE + broken + rest + ZONE.format(camera="gate"))
        for _ in range(2):
            answer = run.ask("reload")
            assert answer.ok
            assert "none.mp4" in answer.message
            assert "camera gate" in answer.message
        assert [zone.name for zone in run.parts.config.zones] == ["matgate"]
        path.write_text(DEVICE + GATE + rest + ZONE.format(camera="gate"))
        assert run.ask("reload").message == "new: camera gate"
        assert eventually(lambda: len(run.sequences("gate")) > 2, timeout_s=60)


def test_where_no_other_camera_can_be_opened_the_one_before_goes_on(path, tmp_path):
    with live_run(path) as run:
        assert run.wait_for(2)
        rest = path.read_text().partition("[[sink]]")[2]
        path.write_text(
            f'{DEVICE}[camera]\nname = "x"\nsource = "file:{tmp_path}/none.mp4"\n[[sink]]{rest}'
        )
        assert "none.mp4" in run.ask("reload").message
        assert [camera.name for camera in run.parts.cameras.opened] == ["door"]
        assert run.wait_for(5)


def test_what_waits_for_a_restart_may_contradict_the_rest_and_that_is_said(path):
    with live_run(path) as run:
        # As if it had begun with that section, which needs a broker.
        house = '[homeassistant]\n[mqtt]\nurl = "mqtt://127.0.0.1:1"\n'
        before = path.read_text()
        path.write_text(before + house)
        with_house = run.control.subject.reread()
        run.parts.config, held = with_house, run.parts.config
        path.write_text(before)
        answer = run.ask("reload")
        run.parts.config = held

    assert not answer.ok
    assert answer.message.startswith("nothing changed: restart for [homeassistant]")
    assert "[mqtt] url" in answer.message


def test_a_stage_that_cannot_be_had_leaves_cameras_and_sinks_as_they_were(
    path, tmp_path, monkeypatch
):
    def refuse(*_, **__):
        raise ConfigError("no such stage")

    with live_run(path) as run:
        before = run.parts.config
        path.write_text(f'{path.read_text()}{GATE}[[sink]]\nkind = "jsonl"\npath = "b.jsonl"\n')
        monkeypatch.setattr("edge.parts.open_stages", refuse)
        assert run.ask("reload").message == "nothing changed: no such stage"
        assert run.parts.cameras.opened == before.cameras
        assert not (tmp_path / "b.jsonl").exists()


def test_cameras_may_be_asked_for_while_others_come_and_go(path):
    with live_run(path) as run:
        cameras, stop, faults = run.parts.cameras, threading.Event(), []

        def ask():
            try:
                while not stop.is_set():
                    assert len(cameras.captures) + len(cameras.paused) + len(cameras.opened)
            except Exception as error:  # noqa: BLE001 - told to the test
                faults.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        one = cameras.opened[0]
        for number in range(12):
            cameras.follow([one, *(one.replace(name=f"c{each}") for each in range(number % 4))])
        stop.set()
        asking.join()
        assert faults == []


def test_a_file_that_can_be_read_again_is_read_again(tmp_path):
    path = tmp_path / "device.toml"
    path.write_text("a = 1\n")
    watch = FileWatch(path)
    looks = []
    for change in (lambda: path.chmod(0o000), lambda: path.chmod(0o644), path.unlink):
        change()
        looks.append([watch.has_changed() for _ in range(3)])
    path.write_text("a = 2\n")
    looks.append([watch.has_changed() for _ in range(3)])

    assert looks == [[False, True, False]] * 2 + [[False] * 3, [False, True, False]]


def test_a_file_behind_a_link_is_another_when_the_link_points_elsewhere(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "device.toml").write_text("a = 1\n")
    (tmp_path / "current").symlink_to("one")
    watch = FileWatch(tmp_path / "current" / "device.toml")
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(tmp_path / "current")

    assert [watch.has_changed() for _ in range(3)] == [False, True, False]
