"""Lines of JSON: a reader that leaves, and files through what happens to a disk in a year."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from factories import encoder, message, observation

from edge.config.sink import Jsonl
from edge.errors import ConfigError, SinkClosed, SinkError
from edge.sinks.jsonl import JsonlFile, JsonlSink, check_jsonl

pytestmark = pytest.mark.board

MIB = 2**20
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


def line(number, size=100_000):
    return b'{"n":%d,"x":"' % number + b"x" * size + b'"}'


def numbers(path):
    return [int(text[5 : text.index(b",")]) for text in path.read_bytes().splitlines()]


@pytest.mark.parametrize("files", [1, 3])
def test_a_full_file_is_put_aside_and_so_many_are_kept(tmp_path, files):
    path = tmp_path / "seen.jsonl"
    sink = JsonlFile(path, Jsonl(path=path, max_mib=1, files=files))
    for number in range(55):
        sink.send(message(payload=line(number)))
    assert sink.close(0) == 0
    kept = sorted(tmp_path.iterdir())
    assert [each.name for each in kept] == [
        "seen.jsonl", *(f"seen.jsonl.{n}" for n in range(1, files))
    ]  # fmt: skip
    assert all(each.stat().st_size <= MIB for each in kept)
    written = [number for each in reversed(kept) for number in numbers(each)]
    assert written == list(range(55))[-len(written) :]
    assert path.stat().st_mode & 0o007 == 0


def test_a_file_goes_on_after_a_restart_and_a_torn_line_spoils_no_other(tmp_path):
    path = tmp_path / "seen.jsonl"
    path.write_bytes(b'{"n":0,}\n{"n":1,"torn')
    sink = JsonlFile(path, Jsonl(path=path))
    sink.send(message(payload=b'{"n":2,}'))
    sink.send(message(payload=b"online", policy="state"))
    sink.close(0)
    assert path.read_bytes() == b'{"n":0,}\n{"n":1,"torn\n{"n":2,}\n'


def test_a_full_disk_costs_lines_only_while_it_is_full(tmp_path, monkeypatch, log_lines):
    path = tmp_path / "seen.jsonl"
    sink = JsonlFile(path, Jsonl(path=path))
    sink.send(message(payload=b"{1}"))
    write = os.write

    def full(descriptor, data):
        if len(data) < 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[:3])

    monkeypatch.setattr(os, "write", full)
    for _ in range(3):
        sink.send(message(payload=b"{22}"))
    monkeypatch.setattr(os, "write", write)
    sink.send(message(payload=b"{3}"))
    assert sink.close(0) == 3
    assert path.read_bytes() == b"{1}\n{3}\n"
    (told,) = log_lines()
    assert "No space left on device; make room" in told


def test_a_file_that_somebody_took_away_is_begun_anew(tmp_path):
    path = tmp_path / "seen.jsonl"
    sink = JsonlFile(path, Jsonl(path=path))
    sink.send(message(payload=b"{1}"))
    path.rename(tmp_path / "taken")
    sink.send(message(payload=b"{2}"))
    assert path.read_bytes() == b"{2}\n"
    assert sink.close(0) == 0


def test_only_the_topics_that_were_chosen_are_written(tmp_path):
    path = tmp_path / "seen.jsonl"
    sink = JsonlFile(path, Jsonl(path=path, topics=("edge/a/+/events",)))
    sink.send(message(topic="edge/b/c/events", payload=b"{1}", policy="event"))
    sink.send(message(topic="edge/a/c/events", payload=b"{2}", policy="event"))
    assert path.read_bytes() == b"{2}\n"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gone/seen.jsonl", "its folder is missing; type: mkdir -p"),
        (".", "expected a file"),
        ("pipe", "expected a file"),
    ],
)
def test_a_path_that_could_not_be_written_is_refused_and_nothing_is_made(tmp_path, name, reason):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match=reason):
        check_jsonl(Jsonl(path=tmp_path / name))
    check_jsonl(Jsonl(path=tmp_path / "new.jsonl"))
    assert [each.name for each in tmp_path.iterdir()] == ["pipe"]
