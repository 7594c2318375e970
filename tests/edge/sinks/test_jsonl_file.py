"""JSON lines in files: bounded, whole, and there again after what happens to a disk in a year."""

from __future__ import annotations

import errno
import os

import pytest
from factories import message

from edge.config.sink import Jsonl
from edge.errors import ConfigError
from edge.sinks.jsonl_file import JsonlFile, check_jsonl

pytestmark = pytest.mark.board

MIB = 2**20


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
