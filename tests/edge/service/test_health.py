"""The file by which an update is judged: of this process and its release, and whole."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from edge.service.life import HealthFile, Signs

pytestmark = pytest.mark.board

PUBLISHER = SimpleNamespace(
    outbox=lambda: SimpleNamespace(settled=7),
    frames={"a": SimpleNamespace(published=4), "b": SimpleNamespace(published=5)},
)


def test_it_says_every_5_s_how_many_frames_and_messages_there_were(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    now_s = [100.0]
    health = HealthFile("60eb48eba1ed", clock=lambda: now_s[0])
    parts = SimpleNamespace(publisher=PUBLISHER)
    seen = []
    for now_s[0] in (101.0, 104.0, 106.5):
        health.look(Signs(int(now_s[0]), 0.0, 2, is_connected=True), parts)
        seen.append(json.loads((tmp_path / "health.json").read_text()))

    assert [each["frames"] for each in seen] == [101, 101, 106]
    assert seen[-1] == {
        "frames": 106, "published": 9, "acknowledged": 7, "broker": "connected",
        "since_start_s": 6.5, "release": "60eb48eba1ed",
    }  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["health.json"]


@pytest.mark.parametrize(("connected", "broker"), [(None, None), (False, "away")])
def test_it_tells_no_broker_from_one_that_is_away(tmp_path, monkeypatch, connected, broker):
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))

    HealthFile().look(Signs(1, 0.0, 1, is_connected=connected), SimpleNamespace(publisher=None))

    assert json.loads((tmp_path / "health.json").read_text())["broker"] == broker


def test_without_a_runtime_directory_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.chdir(tmp_path)

    HealthFile().look(Signs(1, 0.0, 1), SimpleNamespace(publisher=None))

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said_once_and_ends_nothing(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "gone"))
    now_s = [0.0]
    health = HealthFile(clock=lambda: now_s[0])

    for now_s[0] in (10.0, 20.0):
        health.look(Signs(1, 0.0, 1), SimpleNamespace(publisher=None))

    assert len(caplog.records) == 1
