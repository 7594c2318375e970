"""A model takes the place of another between two frames, on probation."""

from __future__ import annotations

import os
import shutil
import time
from types import SimpleNamespace

import numpy as np
import pytest
from live_runs import live_run
from reference import tiny_segmenter
from waiting import eventually

from edge import swap
from edge.config import overlay
from edge.config.paths import state_folder
from edge.config.reading import load
from edge.errors import ModelError
from edge.model.default import default_model_path
from edge.model.loaded import LoadedModel
from edge.pipeline import Worker

pytestmark = pytest.mark.board

CONFIG = """
[device]
name = "{name}"
[camera]
source = "demo:"
realtime = {live}
rate_hz = 60
size_wh = [320, 240]
[model]
workers = {workers}
threads = 1
[[sink]]
kind = "jsonl"
path = "{folder}/seen.jsonl"
"""
NAME = "strongest.tflite"


@pytest.fixture
def path(tmp_path, monkeypatch):
    """Return a configuration's file, beside a folder `models` that holds a segmenter."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    # No invoke of a busy machine makes a sound model a slow one.
    monkeypatch.setattr(swap, "LEAST_LIMIT_MS", 60_000.0)
    folder = swap.models_folder()
    folder.mkdir(parents=True)
    tiny_segmenter.write(folder / NAME)
    path = tmp_path / "device.toml"
    path.write_text(CONFIG.format(name="porch", folder=tmp_path, live="false", workers=1))
    return path


def kinds(run):
    return [kind for _, _, kind, _ in run.seen]


@pytest.mark.parametrize("workers", [1, 2])
def test_another_task_and_another_input_cost_two_frames_at_most(path, workers, monkeypatch):
    monkeypatch.setattr(swap, "PROBATION_S", 0.2)
    path.write_text(path.read_text().replace("workers = 1", f"workers = {workers}"))
    with live_run(path) as run:
        assert run.wait_for(4)
        assert run.control.model_state()["available"] == NAME
        answer = run.ask("model", file=NAME)
        assert answer.ok, answer.message
        assert run.wait_for(4)
        assert eventually(lambda: not run.control.model_state()["in_progress"], timeout_s=60)
        assert run.control.model_state()["available"] is None
        assert run.ask("reload").message == "nothing has changed"

    change = kinds(run).index("ClassMap")
    assert set(kinds(run)[:change]) == {"Detections"}
    assert set(kinds(run)[change:]) == {"ClassMap"}
    numbers = run.sequences()
    assert numbers[-1] + 1 - len(numbers) <= 2
    # Kept over a restart.
    assert load(path, {}).model.file == swap.models_folder() / NAME


def test_the_same_input_costs_no_frame_and_a_file_that_was_replaced_is_another_model(
    path, tmp_path
):
    own = tmp_path / "own.tflite"
    tiny_segmenter.write(own)
    path.write_text(path.read_text().replace("[model]", f'[model]\nfile = "{own}"'))
    with live_run(path) as run:
        assert run.wait_for(3)
        assert run.ask("reload").message == "nothing has changed"
        before = run.parts.model
        tiny_segmenter.write(own, labels=("a", "b", "c"))
        assert "on probation" in run.ask("reload").message
        assert run.wait_for(3)
        assert run.parts.model is not before
        assert "ask again" in run.ask("model", file=NAME).message

    assert run.sequences() == list(range(len(run.seen)))


def test_regions_come_and_go_as_another_model_does(path, monkeypatch):
    monkeypatch.setattr(swap, "PROBATION_S", 0.0)
    text = path.read_text()
    with live_run(path) as run:
        for more in ("[regions]\n", ""):
            assert run.wait_for(3)
            path.write_text(text + more)
            answer = run.ask("reload")
            assert answer.message.startswith("new: [regions], ssdlite"), answer.message
        assert run.wait_for(3)
        assert type(run.parts.model) is LoadedModel

    assert run.sequences()[-1] + 1 - len(run.seen) <= 2 * 2


def test_a_frame_that_takes_no_invoke_says_nothing_of_a_model_on_probation():
    class Idle:
        def invoke(self, buffer, *, out):
            pass

    placement = SimpleNamespace(invokes=0)
    watched = swap._Watched(Idle(), limit_ms=0.0)
    never_written = {"scores": np.full(3, np.nan, np.float32)}

    for _ in range(2 * swap.JUDGED_INVOKES):
        watched.invoke(SimpleNamespace(placement=placement), out=never_written)
    placement.invokes = 2

    with pytest.raises(ModelError, match="nothing but NaN"):
        watched.invoke(SimpleNamespace(placement=placement), out=never_written)


class Sick(LoadedModel):
    """Computes nothing that is any good."""

    illness = ""

    def invoke(self, buffer, *, out):
        super().invoke(buffer, out=out)
        if self.illness == "raises":
            raise RuntimeError("the device has gone")
        if self.illness == "slow":
            time.sleep(0.3)
        for role in out if self.illness == "not finite" else ():
            out[role] = np.full(out[role].shape, np.nan, np.float32)

    def decode(self, tensors, placement, clock):
        if self.illness == "misread":
            raise ValueError("no head")
        return super().decode(tensors, placement, clock)

    def decoding_with(self, thresholds):
        return type(self)(self.spec, self._backend, thresholds)


def sick_workers(monkeypatch, illness):
    """Have every model that is opened from now on be sick."""
    real = swap.app.open_workers

    def sick(config, file, cores, *, threads):
        workers = real(config, file, cores, threads=threads)
        monkeypatch.setattr(Sick, "illness", illness)
        return tuple(
            Worker(Sick(each.model.spec, each.model._backend, each.model.thresholds), each.cores)
            for each in workers
        )

    monkeypatch.setattr(swap.app, "open_workers", sick)


@pytest.mark.parametrize(
    ("illness", "reason"),
    [
        pytest.param("raises", "the device has gone", id="an exception"),
        pytest.param("not finite", "nothing but NaN", id="no finite value"),
        pytest.param("slow", "an invoke takes", id="many times slower"),
        pytest.param("misread", "no head", id="no result"),
    ],
)
def test_a_model_that_fails_is_taken_back_and_not_tried_again(
    path, caplog, monkeypatch, illness, reason
):
    if illness == "slow":
        monkeypatch.setattr(swap, "MOST_TIMES_SLOWER", 0)
        monkeypatch.setattr(swap, "LEAST_LIMIT_MS", 200.0)
    with live_run(path) as run:
        sick_workers(monkeypatch, illness)
        assert run.wait_for(3)
        digest = run.parts.model.description.digest
        assert run.ask("model", file=NAME).ok
        assert eventually(lambda: "is taken back" in caplog.text, timeout_s=60)
        assert run.wait_for(3)
        assert run.parts.model.description.digest == digest
        again = run.ask("model", file=NAME)
        assert run.control.model_state()["available"] is None

    assert reason in again.message
    assert "was taken back before" in again.message
    assert kinds(run)[-1] == "Detections"
    assert load(path, {}).model.file is None
    assert reason in next(iter(overlay.saved("porch").refused.values()))


def test_what_came_with_a_model_and_fits_no_other_goes_back_with_it(path, caplog, monkeypatch):
    # As a camera gives them: with frames as fast as may be, a kernel that shares cores by session
    # (autogroup) left the trial's child 1 % of its core, and the shipped model takes its 0.2 s.
    path.write_text(path.read_text().replace("realtime = false", "realtime = true"))
    sound = path.read_text().replace("[model]", f'[model]\nfile = "{swap.models_folder() / NAME}"')
    zone = '[[zone]]\nname = "mat"\npolygon = [[0, 0], [1, 0], [1, 1]]\n'
    detector = path.read_text() + zone
    path.write_text(sound)
    with live_run(path) as run:
        assert run.wait_for(2)
        sick_workers(monkeypatch, "raises")
        path.write_text(detector)
        assert "on probation" in run.ask("reload").message
        assert eventually(lambda: "is taken back" in caplog.text, timeout_s=60)
        assert run.wait_for(2)
        assert run.parts.config.zones == ()

    assert kinds(run)[-1] == "ClassMap"


def test_a_damaged_model_changes_nothing(path):
    damaged = swap.models_folder() / "damaged.tflite"
    data = bytearray((swap.models_folder() / NAME).read_bytes())
    data[len(data) // 3] ^= 0xFF
    damaged.write_bytes(data)
    with live_run(path) as run:
        assert run.wait_for(3)
        answer = run.ask("model", file=damaged.name)
        assert run.wait_for(3)

    assert not answer.ok
    assert "damaged" in answer.message
    assert run.sequences() == list(range(len(run.seen)))


def test_an_older_model_than_the_one_that_runs_waits_for_nothing(path, monkeypatch):
    monkeypatch.setattr(swap, "PROBATION_S", 0.0)
    newer = swap.models_folder() / "newer.tflite"
    shutil.copy(default_model_path(), newer)
    os.utime(swap.models_folder() / NAME, (1, 1))
    with live_run(path) as run:
        assert run.control.model_state()["available"] is None
        assert "found no newer one" in run.ask("model").message
        assert run.ask("model", file=NAME).ok
        assert run.control.model_state()["available"] == newer.name


def test_models_wait_in_the_state_folder(path):
    assert swap.models_folder() == state_folder() / "models"
