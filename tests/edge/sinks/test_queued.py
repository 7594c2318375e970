"""What sinks that take their time share: the queue, its end, and how a message is told."""

import json

import pytest
from factories import message
from waiting import eventually

from edge.errors import SinkError
from edge.sinks.queued import Queued, Unfinished, as_json

pytestmark = pytest.mark.board


class Sink(Queued):
    """Does with each payload as it says."""

    def __init__(self, **options):
        self.got = []
        super().__init__("test", messages=10, **options)

    def deliver(self, message):
        self.got.append(message.payload)
        if message.payload == b"end":
            raise Unfinished
        if message.payload == b"break":
            raise SinkError("broken")
        return message.payload != b"refuse"


def event(payload):
    return message(payload=payload, policy="event")


def test_what_is_given_up_is_counted_as_dropped_and_not_as_undelivered(log_lines):
    sink = Sink()
    for payload in (b"a", b"refuse", b"b"):
        sink.send(event(payload))
    assert sink.close(60) == 0
    assert sink.got == [b"a", b"refuse", b"b"]
    assert log_lines() == ["test: 1 results were dropped in all"]


def test_what_the_end_left_over_is_undelivered_and_no_failure():
    sink = Sink()
    for payload in (b"end", b"after"):
        sink.send(event(payload))
    assert sink.close(5) == 2
    assert sink.failure is None


def test_a_sink_that_can_take_no_more_says_so_to_the_next_caller():
    sink = Sink()
    sink.send(event(b"break"))
    assert eventually(lambda: sink.failure)
    with pytest.raises(SinkError, match="broken"):
        sink.send(event(b"a"))


def test_what_is_not_wanted_takes_no_room():
    sink = Sink(wants=lambda each: each.policy == "event")
    sink.send(message())
    assert sink.close(60) == 0
    assert sink.got == []


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        (b'{"a": 1.5,\n "b": []}', {"payload": {"a": 1.5, "b": []}}),
        (b"online", {"payload": "online"}),
        (b'{"torn', {"payload": '{"torn'}),
        (b"3", {"payload": "3"}),
        (b"", {"payload": ""}),
        (b"\xff\xd8", {"payload_base64": "/9g="}),
        (b"[" * 100_000, {"payload": "[" * 100_000}),
    ],
    ids=["object", "word", "torn", "number", "empty", "bytes", "nested"],
)
def test_any_payload_is_one_line_of_json(payload, told):
    line = as_json("edge/p/x", payload, policy="event")
    assert b"\n" not in line
    assert json.loads(line) == {"topic": "edge/p/x", "policy": "event"} | told
