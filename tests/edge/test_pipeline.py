import threading
import time
import tracemalloc
from dataclasses import replace

import pytest
from waiting import Stopwatch

from edge.capture.latest import CaptureThread, Turns
from edge.capture.options import SourceOptions
from edge.capture.synthetic import open_demo
from edge.errors import EdgeError, SinkClosed, SinkError
from edge.model import model_file
from edge.model.default import default_model_path
from edge.model.loaded import LoadedModel, load_model
from edge.pipeline import Behaviour, Pipeline
from edge.results.observation import STAGES

pytestmark = pytest.mark.board

SIZE_WH = (320, 240)
LAST = 5


class Recorder:
    """A consumer that keeps copies, may take its time, and may fail at a given frame."""

    def __init__(self, *, wait_s=0.0, fail_at=None, error=None):
        self.observations = []
        self.results = []
        self.threads = set()
        self._wait_s = wait_s
        self._fail_at = fail_at
        self._error = error

    def __call__(self, observation):
        if len(self.observations) == self._fail_at:
            raise self._error
        time.sleep(self._wait_s)
        self.observations.append(observation)
        self.results.append(observation.result.copy())
        self.threads.add(threading.current_thread().name)


@pytest.fixture(scope="module")
def detector():
    return load_model(model_file.read(default_model_path()))


def run(detector, sinks, *, frames=None, realtime=False):
    with open_demo("", SourceOptions(size_wh=SIZE_WH, realtime=realtime)) as source:
        capture = CaptureThread(source, detector.input_buffers(), camera="door")
        capture.start()
        try:
            pipeline = Pipeline(Turns([capture]), Behaviour(detector), sinks)
            pipeline.run(max_frames=frames)
        finally:
            capture.stop()
    return pipeline


def test_every_frame_of_a_patient_source_arrives_once_and_in_order(detector):
    sink = Recorder()
    pipeline = run(detector, [sink], frames=30)
    assert [seen.sequence for seen in sink.observations] == list(range(30))
    assert pipeline.times.summary().frames == 30


def test_frames_are_decoded_on_a_thread_of_its_own(detector):
    sink = Recorder()
    run(detector, [sink], frames=3)
    assert sink.threads == {"edge-decode"}


def test_overlapping_the_stages_changes_no_detection(detector):
    sink = Recorder()
    run(detector, [sink], frames=12)
    with open_demo("", SourceOptions(size_wh=SIZE_WH, realtime=False)) as source:
        for seen in sink.results:
            alone = detector(source.read(None).pixels)
            assert (seen.boxes == alone.boxes).all()
            assert (seen.scores == alone.scores).all()
            assert (seen.class_ids == alone.class_ids).all()


def test_one_frame_is_published_while_the_next_is_invoked():
    invoked = threading.Semaphore(0)

    class Counting(LoadedModel):
        def invoke(self, buffer, *, out):
            super().invoke(buffer, out=out)
            invoked.release()

    plain = load_model(model_file.read(default_model_path()))
    counting = Counting(plain.spec, plain._backend, plain.thresholds)

    class Patient(Recorder):
        def __call__(self, observation):
            super().__call__(observation)
            # One permit is this frame's own; the second comes while this call lasts, or never.
            own_and_next = 2 if observation.sequence == 0 else 1
            if observation.sequence < LAST:
                assert all(invoked.acquire(timeout=10) for _ in range(own_and_next))

    sink = Patient()
    run(counting, [sink], frames=LAST + 1)
    assert len(sink.observations) == LAST + 1


def test_a_live_source_drops_what_a_slow_sink_cannot_take_and_counts_it(detector):
    sink = Recorder(wait_s=0.1)
    run(detector, [sink], frames=6, realtime=True)
    last = sink.observations[-1]
    assert last.dropped_frames > 0
    sequences = [seen.sequence for seen in sink.observations]
    assert sequences == sorted(set(sequences))
    assert last.sequence + 1 == len(sink.observations) + last.dropped_frames


def test_each_observation_carries_the_time_of_each_stage(detector):
    sink = Recorder()
    run(detector, [sink], frames=3)
    for seen in sink.observations:
        assert set(seen.stage_ms) == set(STAGES)
        assert seen.stage_ms["invoke"] > 0
        assert seen.age_ms >= seen.stage_ms["invoke"]
        assert seen.size_wh == SIZE_WH


def test_a_sink_that_fails_ends_the_run_with_its_error(detector):
    sink = Recorder(fail_at=2, error=SinkError("the disk is full"))
    with pytest.raises(SinkError, match="the disk is full"):
        run(detector, [sink])
    assert len(sink.observations) == 2


def test_a_sink_whose_reader_left_ends_the_run_quietly(detector):
    sink = Recorder(fail_at=2, error=SinkClosed("the reader left"))
    run(detector, [sink])
    assert len(sink.observations) == 2


def test_a_sink_that_hangs_is_named_once_the_run_is_stopped(detector, monkeypatch):
    monkeypatch.setattr("edge.pipeline.JOIN_TIMEOUT_S", 0.1)
    stuck, released = threading.Event(), threading.Event()

    class Stuck(Recorder):
        def __call__(self, observation):
            stuck.set()
            released.wait()

    with open_demo("", SourceOptions(size_wh=SIZE_WH, realtime=False)) as source:
        capture = CaptureThread(source, detector.input_buffers(), camera="door")
        capture.start()
        pipeline = Pipeline(Turns([capture]), Behaviour(detector), [Stuck()])
        threading.Thread(target=lambda: stuck.wait(60) and pipeline.stop()).start()
        with pytest.raises(EdgeError, match="thread edge-decode did not end"):
            pipeline.run()
        released.set()
        capture.stop()


def test_stop_ends_a_run_from_another_thread(detector):
    with open_demo("", SourceOptions(size_wh=SIZE_WH)) as source:
        capture = CaptureThread(source, detector.input_buffers(), camera="door")
        capture.start()
        pipeline = Pipeline(Turns([capture]), Behaviour(detector), [Recorder()])
        threading.Timer(0.2, pipeline.stop).start()
        with Stopwatch() as watch:
            pipeline.run()
            capture.stop()
    assert watch.elapsed_s < 2.0


def test_the_frame_loop_keeps_nothing(detector):
    class Nowhere:
        def __call__(self, observation):
            pass

    with open_demo("", SourceOptions(size_wh=SIZE_WH, realtime=False)) as source:
        capture = CaptureThread(source, detector.input_buffers(), camera="door")
        capture.start()
        tracemalloc.start()
        try:
            Pipeline(Turns([capture]), Behaviour(detector), [Nowhere()]).run(max_frames=50)
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            Pipeline(Turns([capture]), Behaviour(detector), [Nowhere()]).run(max_frames=300)
            after, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            capture.stop()
    # One Pipeline's own buffers are 0.5 MiB; a frame of this size is 0.2 MiB, and 300 went by.
    assert after - before < 64 * 1024
    assert peak - before < 2 * 1024 * 1024


class Marking:
    """A stage that writes its name into the order of all stages, and may take its time."""

    def __init__(self, name, order):
        self.name = name
        self._order = order

    def process(self, observation):
        self._order.append((observation.sequence, self.name))
        return replace(observation, result=observation.result[:1])


def test_stages_run_in_their_order_between_decode_and_the_consumers(detector):
    order, sink = [], Recorder()
    with open_demo("", SourceOptions(size_wh=SIZE_WH, realtime=False)) as source:
        capture = CaptureThread(source, detector.input_buffers(), camera="door")
        with capture:
            behaviour = Behaviour(detector, (Marking("first", order), Marking("second", order)))
            Pipeline(Turns([capture]), behaviour, [sink]).run(max_frames=2)

    assert order == [(0, "first"), (0, "second"), (1, "first"), (1, "second")]
    assert list(sink.observations[0].stage_ms)[-2:] == ["first", "second"]
    assert all(len(result) <= 1 for result in sink.results)


def test_another_behaviour_is_followed_from_the_next_frame_on(detector):
    counts = []
    with open_demo("", SourceOptions(size_wh=SIZE_WH, realtime=False)) as source:
        capture = CaptureThread(source, detector.input_buffers(), camera="door")

        def change(observation):
            counts.append(len(observation.result))
            if observation.sequence == 2:
                pipeline.behaviour = Behaviour(detector.with_thresholds(score=0.999))

        pipeline = Pipeline(Turns([capture]), Behaviour(detector), [change])
        with capture:
            pipeline.run(max_frames=6)

    assert all(counts[:3])
    assert counts[3:] == [0, 0, 0]
