"""Several interpreters at the same time: each frame once, in order, with its own result."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

import numpy as np
import pytest
from frames import CountingSource
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.capture.latest import CaptureThread, Turns
from edge.cores import available_cores
from edge.errors import DelegateError, EdgeError, SinkClosed
from edge.model import model_file
from edge.model.default import default_model_path
from edge.model.loaded import load_model
from edge.pipeline import Behaviour, Pipeline, Worker
from edge.preprocess import InputBuffer

pytestmark = pytest.mark.board

LONG_S = 10.0
SPEC = load_model(model_file.read(default_model_path())).spec


class Echo:
    """Obeys what the pipeline asks of a model; its result is the grey of its frame.

    Args:
        before: Called with the grey before each invoke, on the worker's thread.
    """

    spec = SPEC

    def __init__(self, before=lambda _: None):
        self.grey = []
        self._before = before

    def input_buffer(self):
        return InputBuffer(SPEC)

    def output_buffers(self):
        return {"grey": np.zeros(1, np.int8)}

    def invoke(self, buffer, *, out):
        self._before(seen(buffer.tensor))
        out["grey"][0] = buffer.tensor[0, 150, 150, 0]
        self.grey.append(seen(buffer.tensor))

    def decode(self, tensors, placement, clock):
        clock.lap("decode")
        assert placement.source_wh == (16, 8)
        return int(tensors["grey"].view(np.uint8)[0] ^ 0x80)


def seen(tensor):
    return int(tensor.view(np.uint8)[0, 150, 150, 0] ^ 0x80)


def run(models, *, cameras=1, count=20, consumers=(), frames=None, live=False):
    """Run as many frames of each camera through these models; return what came out, in order."""
    out = []

    def keep(found):
        out.append((found.camera, found.sequence, found.result))

    changed = threading.Condition()
    with ExitStack() as stack:
        captures = [
            stack.enter_context(
                CaptureThread(
                    CountingSource(count=count, live=live),
                    tuple(InputBuffer(SPEC) for _ in range(3)),
                    camera=f"camera-{number}",
                    changed=changed,
                )
            )
            for number in range(cameras)
        ]
        pipeline = Pipeline(
            Turns(captures),
            Behaviour(models[0]),
            [keep, *consumers],
            workers=[Worker(model, available_cores()) for model in models],
        )
        pipeline.run(max_frames=frames)
    return out


@settings(max_examples=15)
@given(st.integers(2, 4), st.integers(1, 3), st.lists(st.integers(0, 3), min_size=4, max_size=12))
def test_each_frame_comes_once_in_its_cameras_order_with_its_own_result(workers, cameras, waits):
    models = [Echo(lambda grey: time.sleep(waits[grey % len(waits)] / 1e3)) for _ in range(workers)]

    found = run(models, cameras=cameras, count=len(waits))

    for number in range(cameras):
        own = [(at, grey) for name, at, grey in found if name == f"camera-{number}"]
        assert own == [(at, at) for at in range(len(waits))]
    assert sum(len(model.grey) for model in models) == len(found) == cameras * len(waits)


def test_a_frame_that_is_done_early_waits_for_the_one_before_it():
    second = threading.Event()

    def wait(grey):
        assert grey or second.wait(LONG_S)  # the first frame ends behind the second
        if grey == 1:
            second.set()

    found = run([Echo(wait), Echo(wait)], count=6)

    assert [at for _, at, _ in found] == list(range(6))


def test_workers_invoke_at_the_same_time():
    together = threading.Barrier(3)
    models = [Echo(lambda _: together.wait(LONG_S)) for _ in range(3)]

    run(models, count=6)

    assert [len(model.grey) for model in models] == [2, 2, 2]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_no_more_frames_are_invoked_than_asked_for(workers):
    models = [Echo() for _ in range(workers)]

    found = run(models, frames=7)

    assert [at for _, at, _ in found] == list(range(7))
    assert sum(len(model.grey) for model in models) == 7


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_slow_consumer_holds_the_interpreters_back(workers):
    models = [Echo() for _ in range(workers)]
    checked = []

    def slow(_):
        if not checked:  # the first frame: its set is here, one more a worker is written
            time.sleep(0.05)
            checked.append(sum(len(model.grey) for model in models))

    run(models, consumers=[slow])

    assert checked[0] <= workers + 1


@pytest.mark.parametrize("failing", [0, 1], ids=["on the caller's thread", "on another"])
def test_a_worker_that_fails_ends_the_run_with_its_error(failing):
    other_works, before = threading.Event(), threading.active_count()

    def fail(_):
        other_works.wait(LONG_S)
        raise DelegateError("the device does not answer")

    models = [Echo(lambda _: other_works.set()), Echo(lambda _: other_works.set())]
    models[failing] = Echo(fail)

    with pytest.raises(DelegateError, match="the device does not answer"):
        run(models, count=1000)
    assert threading.active_count() <= before


def test_a_consumer_that_leaves_ends_all_workers_quietly():
    def leave(found):
        if found.sequence == 3:
            raise SinkClosed("the reader left")

    models = [Echo(), Echo(), Echo()]
    found = run(models, count=1000, consumers=[leave])

    assert [at for _, at, _ in found] == [0, 1, 2, 3]
    assert sum(len(model.grey) for model in models) <= 4 + 3 + 1


def test_a_pipeline_runs_again_where_it_stopped():
    models, out = [Echo(), Echo()], []
    buffers = tuple(InputBuffer(SPEC) for _ in range(3))
    with CaptureThread(CountingSource(count=20, live=False), buffers, camera="door") as capture:
        pipeline = Pipeline(
            Turns([capture]),
            Behaviour(models[0]),
            [lambda found: out.append(found.result)],
            workers=[Worker(model, available_cores()) for model in models],
        )
        pipeline.run(max_frames=5)
        pipeline.run(max_frames=6)

    assert out == list(range(11))


def test_a_worker_that_hangs_is_named_once_the_run_is_over(monkeypatch):
    monkeypatch.setattr("edge.pipeline.INVOKE_JOIN_TIMEOUT_S", 0.05)
    released, together = threading.Event(), threading.Barrier(2)
    hanging = Echo(lambda _: (together.wait(LONG_S), released.wait(LONG_S)))
    try:
        with pytest.raises(EdgeError, match="thread edge-invoke-2 did not end in time"):
            run([Echo(lambda _: together.wait(LONG_S)), hanging], frames=2)
    finally:
        released.set()


def test_another_behaviour_is_followed_whoever_invoked():
    class Louder(Echo):
        def decode(self, tensors, placement, clock):
            return super().decode(tensors, placement, clock) + 100

    models, out = [Echo(), Echo()], []
    with CaptureThread(
        CountingSource(count=8, live=False),
        tuple(InputBuffer(SPEC) for _ in range(3)),
        camera="door",
    ) as capture:

        def change(found):
            out.append(found.result)
            if found.sequence == 3:
                pipeline.behaviour = Behaviour(Louder())

        pipeline = Pipeline(
            Turns([capture]),
            Behaviour(models[0]),
            [change],
            workers=[Worker(model, available_cores()) for model in models],
        )
        pipeline.run()

    assert out == [0, 1, 2, 3, 104, 105, 106, 107]


def test_frames_of_a_live_source_rise_and_every_dropped_one_is_counted():
    models = [Echo(lambda _: time.sleep(0.002)) for _ in range(2)]

    found = run(models, count=200, live=True)

    order = [at for _, at, _ in found]
    assert order == sorted(set(order))
    assert [grey for _, _, grey in found] == order
