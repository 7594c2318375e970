"""What the configuration opens, and on which cores."""

from __future__ import annotations

import pytest
from scripted_broker import ScriptedBroker

from edge import app, cores
from edge.config.reading import parse

pytestmark = pytest.mark.board


@pytest.fixture
def four_cores(monkeypatch):
    """Pretend to have four cores; return what each thread was confined to, one after the other."""
    affinity = [frozenset(range(4))]
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: set(affinity[-1]))
    monkeypatch.setattr(
        cores.os, "sched_setaffinity", lambda _, wanted: affinity.append(frozenset(wanted))
    )
    monkeypatch.setattr(cores, "CLAIM", "\0edge-vision-test-cores")
    return affinity


@pytest.fixture
def asked(four_cores, monkeypatch):
    """Return how each interpreter is opened: its threads, its cores, and the model's bytes."""
    calls = []
    real = app.open_model

    def open_model(config, file, *, threads):
        calls.append((threads, four_cores[-1], id(file.flatbuffer)))
        return real(config, file, threads=1)

    monkeypatch.setattr(app, "open_model", open_model)
    return calls


def test_a_board_of_four_cores_runs_three_interpreter_threads(asked):
    with app.opened(parse({"camera": {"source": "demo:"}})) as parts:
        assert parts.cores == cores.Cores(frozenset({1, 2, 3}), frozenset({0}))

    assert [call[:2] for call in asked] == [(3, frozenset({1, 2, 3}))]


def test_each_worker_has_an_interpreter_and_a_core_and_all_share_the_files_bytes(asked, caplog):
    with app.opened(parse({"camera": {"source": "demo:"}, "model": {"workers": 3}})) as parts:
        assert parts.cores == cores.Cores(frozenset({1, 2, 3}), frozenset({0}))
        assert [worker.cores for worker in parts.workers] == [{1}, {2}, {3}]
        assert len({id(worker.model) for worker in parts.workers}) == 3

    assert [call[:2] for call in asked] == [(1, {1}), (1, {2}), (1, {3})]
    assert len({call[2] for call in asked}) == 1
    assert caplog.messages == []


def test_more_workers_than_cores_is_said(asked, caplog):
    with app.opened(parse({"camera": {"source": "demo:"}, "model": {"workers": 5}})) as parts:
        assert {worker.cores for worker in parts.workers} == {frozenset(range(4))}

    assert [call[0] for call in asked] == [1] * 5
    assert " ".join(caplog.messages) == (
        "[model] workers = 5 of 1 threads each are more than the 4 cores of this process: they "
        "will wait for each other; set fewer"
    )


@pytest.mark.parametrize(
    ("configured", "expected"),
    [pytest.param(0, 3, id="one a core, less one"), pytest.param(2, 2, id="as configured")],
)
def test_the_rows_of_a_benchmark_say_how_many_threads_ran(four_cores, configured, expected):
    from edge.benchmark.rig import Rig  # noqa: PLC0415

    config = parse({"model": {"threads": configured}})

    assert (
        Rig(config, app.model_file(config), available=cores.available_cores()).setting.threads
        == expected
    )


def test_tracking_lowers_the_decoders_threshold_and_a_changed_configuration_keeps_the_tracks():
    tracked = parse({"tracking": {"low_score_threshold": 0.2}, "model": {"score_threshold": 0.4}})
    plain = parse({"model": {"score_threshold": 0.05}})
    seen = []
    with app.opened(tracked, publish=False) as parts:
        assert parts.model.thresholds.score == 0.2
        pipeline = parts.pipeline([lambda each: seen.append(each.result)])
        pipeline.run(max_frames=1)
        tracks = parts.memory["track"]["camera"]
        for config, lowest in ((plain, 0.05), (tracked, 0.2)):
            pipeline.behaviour = parts.behaviour(config)
            assert pipeline.behaviour.model.thresholds.score == lowest
            pipeline.run(max_frames=1)
        assert parts.memory["track"] == {"camera": tracks}
    assert seen[1].track_ids is None
    assert all(each.scores.min() >= 0.4 for each in (seen[0], seen[2]))
    assert seen[0].track_ids.tolist()


def test_images_of_what_is_seen_and_of_a_frame_that_was_asked_for_reach_the_broker():
    with ScriptedBroker() as broker:
        config = parse(
            {
                "device": {"name": "porch"},
                "mqtt": {"url": f"mqtt://127.0.0.1:{broker.port}"},
                "snapshots": {"labels": ["cat", "person"], "picture_px": 320},
            }
        )
        with app.opened(config) as parts:
            assert "goes to edge/porch/camera/snapshot/frame" in parts.snapshot(None)
            parts.pipeline().run(max_frames=40)
        images = {t: data for t, data, retain in broker.messages if "/snapshot/" in t and retain}
    assert "edge/porch/camera/snapshot/frame" in images
    assert {topic.rpartition("/")[2] for topic in images} - {"frame"} <= {"cat", "person"}
    assert len(images) > 1
    assert all(data.startswith(b"\xff\xd8") for data in images.values())


def test_images_begin_and_end_with_their_section_while_it_runs():
    with ScriptedBroker() as broker:
        plain = parse({"mqtt": {"url": f"mqtt://127.0.0.1:{broker.port}"}, "output": {}})
        with app.opened(plain) as parts:
            parts.pipeline()
            assert parts.publisher.snapshots is None
            wanted = parse({"mqtt": {"url": plain.mqtt.url}, "snapshots": {"every_s": 1}})
            parts.behave(wanted)
            settings, labels = parts.publisher.snapshots._wanted
            assert (settings, "person" in labels) == (wanted.snapshots, True)
            parts.behave(plain)
            assert parts.publisher.snapshots._wanted == (None, ())
