"""Other interpreters take over between two frames, or nothing changes."""

from __future__ import annotations

import threading

import pytest
from waiting import eventually

from edge import pipeline
from edge.capture.latest import CaptureThread, Turns
from edge.capture.options import SourceOptions
from edge.capture.synthetic import open_demo
from edge.cores import available_cores
from edge.errors import EdgeError
from edge.model import model_file
from edge.model.default import default_model_path
from edge.model.loaded import load_model
from edge.pipeline import Behaviour, Pipeline, Worker

pytestmark = pytest.mark.board

LONG_S = 60.0


@pytest.fixture(scope="module")
def models():
    file = model_file.read(default_model_path())
    return load_model(file), load_model(file)


class Held:
    """A consumer that waits until it is let go, and a pipeline that it is told by."""

    def __init__(self, model, capture):
        self.gate, self.numbers = threading.Event(), []
        self.pipeline = Pipeline(Turns([capture]), Behaviour(model), [self.take])
        self.failure = None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            self.pipeline.run()
        except EdgeError as error:
            self.failure = error

    def take(self, observation):
        self.numbers.append(observation.sequence)
        self.gate.wait(LONG_S)


@pytest.fixture
def held(models):
    options = SourceOptions(size_wh=(320, 240), realtime=False)
    with (
        open_demo("", options) as source,
        CaptureThread(source, models[0].input_buffers(), camera="door") as capture,
    ):
        run = Held(models[0], capture)
        assert eventually(lambda: run.numbers, timeout_s=LONG_S)
        yield run
        run.gate.set()
        run.pipeline.stop()
        run.thread.join(LONG_S)


def others(model):
    return [Worker(model, available_cores())], Behaviour(model)


def test_frames_at_hand_that_take_too_long_leave_all_as_it_was(held, models):
    with pytest.raises(EdgeError, match="the frames at hand took longer"):
        held.pipeline.exchange(*others(models[1]), between=pytest.fail, timeout_s=0.2)
    assert held.pipeline.behaviour.model is models[0]

    held.gate.set()
    assert eventually(lambda: len(held.numbers) > 8, timeout_s=LONG_S)
    held.pipeline.exchange(*others(models[1]), between=lambda: None)
    count = len(held.numbers)
    assert eventually(lambda: len(held.numbers) > count + 4, timeout_s=LONG_S)
    assert held.numbers == list(range(len(held.numbers)))
    assert held.pipeline.behaviour.model is models[1]


def test_nothing_is_between_two_models_while_the_words_change(held, models):
    held.gate.set()
    seen = []

    def between():
        before = len(held.numbers)
        seen.append(threading.Event().wait(0.1) or len(held.numbers) - before)

    held.pipeline.exchange(*others(models[1]), between=between)
    assert seen == [0]


def test_what_fails_in_between_is_raised_and_the_run_goes_on(held, models):
    held.gate.set()

    def fail():
        raise EdgeError("no words")

    with pytest.raises(EdgeError, match="no words"):
        held.pipeline.exchange(*others(models[1]), between=fail)
    count = len(held.numbers)
    assert eventually(lambda: len(held.numbers) > count + 4, timeout_s=LONG_S)
    assert held.pipeline.behaviour.model is models[0]


def test_a_stop_is_seen_while_an_exchange_waits(held, models, monkeypatch):
    monkeypatch.setattr(pipeline, "JOIN_TIMEOUT_S", 0.2)
    exchanged = threading.Event()

    def exchange():
        words = exchanged.set
        held.pipeline.exchange(*others(models[1]), between=words, timeout_s=2 * LONG_S)

    waiting = threading.Thread(target=exchange, daemon=True)
    waiting.start()
    assert eventually(lambda: not held.pipeline._open.is_set())
    held.pipeline.stop()
    held.thread.join(LONG_S)
    assert not held.thread.is_alive()
    assert not exchanged.is_set()
    assert "edge-decode" in str(held.failure)
    held.gate.set()
    waiting.join(LONG_S)
