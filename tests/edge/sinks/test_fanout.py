"""Several sinks at once: none holds up or ends another."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest
from factories import message
from memory_sink import MemorySink
from waiting import Stopwatch, eventually

from edge.errors import SinkClosed, SinkError
from edge.sinks.fanout import BUFFER_MESSAGES, Fanout
from edge.sinks.jsonl import JsonlSink
from edge.sinks.outbox import QUEUE_BYTES

pytestmark = pytest.mark.board

FULL = "no space left; check with df -h"


class Slow(MemorySink):
    """Waits until it is let go."""

    name = "slow"
    may_wait = True

    def __init__(self):
        super().__init__(10_000)
        self.gate = threading.Event()

    def send(self, message):
        self.gate.wait()
        super().send(message)


class Failing(MemorySink):
    """Takes so many messages and no more."""

    name = "failing"

    def __init__(self, takes, *, may_wait, error=SinkError):
        super().__init__()
        self.may_wait = may_wait
        self._takes = takes
        self._error = error

    def send(self, message):
        if len(self.messages) == self._takes:
            raise self._error(FULL)
        super().send(message)


def test_a_sink_that_is_alone_is_waited_for_and_gets_everything(tmp_path):
    with (tmp_path / "out").open("wb") as stream:
        sink = Fanout([JsonlSink(stream)])
        for number in range(3 * BUFFER_MESSAGES):
            sink.send(message(number))
            if number == 0:
                assert (tmp_path / "out").read_bytes().endswith(b"}\n")
        assert sink.close(60) == 0
    assert len((tmp_path / "out").read_bytes().splitlines()) == 3 * BUFFER_MESSAGES


@pytest.mark.parametrize("error", [SinkError, SinkClosed])
def test_the_error_of_a_sink_that_is_alone_is_the_callers(error):
    sink = Fanout([Failing(1, may_wait=True, error=error)])
    sink.send(message())
    with pytest.raises(error, match="no space left"):
        sink.send(message())
    assert sink.close(1) == 0
    assert sink.failure is None


def test_a_sink_that_stands_still_holds_up_no_other_and_loses_the_oldest(log_lines):
    slow, quick = Slow(), MemorySink(10_000)
    sink = Fanout([slow, quick])
    sent = 2 * BUFFER_MESSAGES
    for number in range(sent):
        sink.send(message(number, payload=b"%d" % number))
    assert len(quick.messages) == sent
    assert sum("the oldest results are dropped" in line for line in log_lines()) == 1
    slow.gate.set()
    assert sink.close(60) == 0
    kept = [int(kept.payload) for kept in slow.messages]
    assert kept[-BUFFER_MESSAGES:] == list(range(sent - BUFFER_MESSAGES, sent))
    # The first was on its way already.
    assert len(kept) <= BUFFER_MESSAGES + 1
    assert log_lines()[-1] == f"slow: {sent - len(kept)} results were dropped in all"
    assert sink.failure is None


def test_what_a_reader_never_took_is_undelivered_at_the_end():
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb"), os.fdopen(writer, "wb") as stream:
        sink = Fanout([JsonlSink(stream), MemorySink()])
        for _ in range(5):
            sink.send(message(payload=b"x" * 60_000))
        with Stopwatch() as watch:
            assert sink.close(0.3) >= 3
        assert list(sink.undelivered) == ["jsonl"]
        assert watch.elapsed_s < 2


@pytest.mark.parametrize("may_wait", [True, False])
@pytest.mark.parametrize("error", [SinkError, SinkClosed])
def test_a_sink_that_fails_ends_alone_is_told_once_and_raised_at_the_end(
    log_lines, *, may_wait, error
):
    other = MemorySink()
    sink = Fanout([Failing(2, may_wait=may_wait, error=error), other])
    for number in range(50):
        sink.send(message(number))
        time.sleep(0.001)
    assert len(other.messages) == 50
    assert eventually(log_lines)
    assert log_lines() == [f"{FULL}; the other sinks go on"]
    sink.close(60)
    assert isinstance(sink.failure, error)
    # The log has the sentence: it is not said twice.
    assert FULL not in str(sink.failure)
    assert str(sink.failure).startswith("failing: ")


def test_all_sinks_have_their_time_at_the_end_at_once():
    gate = threading.Barrier(3)

    class Waiting(MemorySink):
        def close(self, timeout_s):
            gate.wait(timeout_s)
            return 2

    sinks = [Waiting() for _ in range(3)]
    for number, sink in enumerate(sinks):
        sink.name = f"webhook {number}"
    fanout = Fanout(sinks)
    assert fanout.close(30) == 6
    assert list(fanout.undelivered) == ["webhook 0", "webhook 1", "webhook 2"]


def test_a_failure_at_the_very_end_is_raised_as_well():
    sink = Fanout([Failing(0, may_wait=True), MemorySink()])
    sink.send(message())
    assert sink.close(60) == 1
    assert isinstance(sink.failure, SinkError)


def test_when_no_sink_is_left_the_caller_hears_it():
    sink = Fanout([Failing(0, may_wait=True), Failing(0, may_wait=True)])

    def fails():
        try:
            sink.send(message())
        except SinkError:
            return True
        return False

    assert eventually(fails)


class Hearing(MemorySink):
    """Hears as a broker's does."""

    def __init__(self):
        super().__init__()
        self.topics = []

    def subscribe(self, topic, handler):
        self.topics.append((topic, handler))


def test_what_is_sent_while_sinks_are_exchanged_waits_for_the_new_one():
    old, kept, new = MemorySink(), MemorySink(), Hearing()
    fanout = Fanout([old, kept])
    fanout.subscribe("a/+", print)
    state = message(0, topic="a/state", policy="state", retain=True)
    fanout.send(state)

    def opened():
        assert [old.messages, old in fanout._sinks] == [[state], False]
        for number in (1, 2):
            fanout.send(message(number))
        return [new]

    assert fanout.exchange([old], opened, timeout_s=1) == 0
    fanout.send(message(3))

    assert new.topics == [("a/+", print)]
    assert new.messages == [state, *map(message, (1, 2, 3))]
    assert kept.messages == [state, *map(message, (1, 2, 3))]
    assert old.messages == [state]


def test_a_message_under_way_to_a_sink_that_is_closed_for_another_ends_nothing():
    class Closing(MemorySink):
        def send(self, message):
            fanout._sinks.remove(self)  # as an exchange does, on another thread
            raise ValueError("send must come before close")

    other = MemorySink()
    fanout = Fanout([Closing(), other])
    fanout.send(message())
    assert (len(other.messages), fanout.failure) == (1, None)


def test_the_last_sink_that_fails_is_told_after_an_exchange_too():
    failed = Failing(0, may_wait=False)
    fanout = Fanout([failed, MemorySink()])
    fanout.send(message())
    fanout.exchange(list(fanout._sinks), lambda: [Failing(0, may_wait=False)], timeout_s=1)
    with pytest.raises(SinkError):
        fanout.send(message())


def test_what_is_kept_for_sinks_to_come_is_bounded_in_bytes():
    new = MemorySink(10_000)
    fanout = Fanout([MemorySink(10_000)])
    for number in range(200):
        fanout.send(message(payload=bytes(60_000), policy="state", topic=f"image/{number}"))

    def opened():
        for _ in range(200):
            fanout.send(message(payload=bytes(60_000)))
        return [new]

    fanout.exchange([], opened, timeout_s=1)
    assert QUEUE_BYTES / 2 < sum(len(each.payload) for each in new.messages) < 2 * QUEUE_BYTES


def test_a_sink_that_was_alone_and_may_wait_holds_up_none_that_comes():
    slow, new = Slow(), MemorySink(10)
    fanout = Fanout([slow])
    fanout.exchange([], lambda: [new], timeout_s=1)
    for number in range(3):
        fanout.send(message(number))

    assert len(new.messages) == 3
    assert slow.messages == []
    slow.gate.set()
    assert eventually(lambda: len(slow.messages) == 3)
    fanout.close(1)


def test_what_goes_by_the_channel_reaches_who_hears_and_one_that_takes_its_place():
    deaf, old, new = MemorySink(), Hearing(), Hearing()
    fanout = Fanout([deaf, old])
    told = message(0, topic="discovery", policy="state", retain=True)
    fanout.channel.send(told)
    fanout.exchange([old], lambda: [new], timeout_s=1)

    assert [deaf.messages, old.messages, new.messages] == [[], [told], [told]]
    assert Fanout([deaf]).channel is None


def test_a_program_may_end_while_a_reader_stands_still(root):
    code = (
        "import sys\nfrom factories import message\nfrom edge.sinks.fanout import Fanout\n"
        "from edge.sinks.jsonl import JsonlSink\nfrom memory_sink import MemorySink\n"
        "sink = Fanout([JsonlSink(sys.stdout.buffer), MemorySink()])\n"
        "[sink.send(message(payload=bytes(60_000))) for _ in range(9)]\n"
        "sys.exit(3 if sink.close(0.2) else 4)\n"
    )
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb"):
        program = subprocess.run(
            [sys.executable, "-c", code],
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
            timeout=30,
            env={"PYTHONPATH": f"{root}:{root / 'tests' / 'support'}"},
        )
        os.close(writer)
    assert (program.returncode, program.stderr) == (3, b"")
