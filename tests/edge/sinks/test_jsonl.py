"""Lines of JSON, a reader that leaves and a disk that is full."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from factories import encoder, message, observation

from edge.errors import SinkClosed, SinkError
from edge.sinks.jsonl import JsonlSink

pytestmark = pytest.mark.board

WRITE_FOREVER = """
import sys
from factories import message
from edge.errors import SinkClosed
from edge.sinks.jsonl import JsonlSink

sink = JsonlSink(sys.stdout.buffer)
try:
    while True:
        sink.send(message())
except SinkClosed:
    sys.exit(0)
"""


def test_each_message_is_one_line_of_the_same_payload(tmp_path):
    with (tmp_path / "out").open("wb") as stream:
        sink = JsonlSink(stream)
        for sequence in range(3):
            sink.send(message(sequence))
        assert sink.close(1) == 0
    expected = [encoder().encode(observation(sequence)) for sequence in range(3)]
    assert (tmp_path / "out").read_bytes().splitlines() == expected


def test_states_are_no_lines(tmp_path):
    with (tmp_path / "out").open("wb") as stream:
        JsonlSink(stream).send(message(payload=b"online", retain=True, policy="state"))
    assert (tmp_path / "out").read_bytes() == b""


def test_a_line_is_seen_before_the_next_frame(tmp_path):
    with (tmp_path / "out").open("wb") as stream:
        JsonlSink(stream).send(message())
        assert (tmp_path / "out").read_bytes().endswith(b"}\n")


def test_a_line_larger_than_a_pipe_is_written_whole():
    with subprocess.Popen(["wc", "-c"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as counter:
        JsonlSink(counter.stdin).send(message(payload=b"x" * 999_999))
        counter.stdin.close()
        assert int(counter.stdout.read()) == 1_000_000


def test_a_reader_that_leaves_ends_the_program_quietly(root):
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_FOREVER],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": f"{root}:{root / 'tests' / 'support'}"},
    ) as program:
        assert program.stdout.readline().endswith(b"}\n")
        program.stdout.close()
        assert program.wait(20) == 0
        assert program.stderr.read() == b""


def test_a_reader_that_left_is_a_sink_error_of_its_own():
    with subprocess.Popen(["true"], stdin=subprocess.PIPE) as program:
        program.wait(10)
        with pytest.raises(SinkClosed):
            JsonlSink(program.stdin).send(message())


@pytest.mark.parametrize(
    ("target", "mode", "said"),
    [
        (
            "/dev/full",
            "wb",
            "/dev/full, found: No space left on device; check with df -h, or write elsewhere",
        ),
        ("/dev/null", "rb", "Bad file descriptor; write elsewhere"),
    ],
    ids=["full", "not open for writing"],
)
def test_a_line_that_cannot_be_written_is_told_with_what_helps(target, mode, said):
    with Path(target).open(mode) as stream, pytest.raises(SinkError, match=said):
        JsonlSink(stream).send(message())
