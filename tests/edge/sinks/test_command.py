"""A command against real child programs: what they get, and how they are kept in bounds."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from factories import message
from waiting import Stopwatch, eventually

from edge.config.sink import Command
from edge.errors import ConfigError
from edge.sinks.command import CommandSink, check_command

pytestmark = pytest.mark.board


def sink_of(*words, **options):
    return CommandSink(Command(command=words, **options))


def event(number):
    return message(topic="edge/p/c/events", payload=b'{"n":%d}' % number, policy="event")


def test_a_program_gets_each_message_on_its_stdin_in_order(tmp_path):
    out = tmp_path / "it's out"
    # The word is an argument, whatever a shell would make of it.
    sink = sink_of("sh", "-c", 'cat >> "$1"', "sh", str(out))
    for number in range(3):
        sink.send(event(number))
    sink.send(message())  # of the stream, which a command gets when it is named only
    assert sink.close(60) == 0
    told = [json.loads(line) for line in out.read_text().splitlines()]
    assert told == [
        {"topic": "edge/p/c/events", "policy": "event", "payload": {"n": number}}
        for number in range(3)
    ]


def test_a_program_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path, log_lines):
    pids = tmp_path / "pids"
    script = 'sleep 60 & echo $! > "$1.part"; mv "$1.part" "$1"; wait'
    for limit_s in (0.5, 5.0, 50.0):
        sink = sink_of("sh", "-c", script, "sh", str(pids), timeout_s=limit_s)
        sink.send(event(0))
        told = f"took over {limit_s:g} s and was ended"
        assert eventually(lambda told=told: any(told in line for line in log_lines()))
        if pids.exists():  # a busy machine may end it before it has begun
            break
        assert sink.close(60) == 0
    grandchild = int(pids.read_text())

    def is_gone():
        with suppress(FileNotFoundError, ProcessLookupError):
            # Nobody may be there to reap it: a zombie runs no more.
            stat = Path(f"/proc/{grandchild}/stat").read_text()
            return stat.rpartition(")")[2].split()[0] == "Z"
        return True

    assert eventually(is_gone)
    assert sink.close(60) == 0
    assert log_lines()[-1] == "command: 1 results were dropped in all"


def test_a_program_that_is_slow_holds_up_nobody_and_the_oldest_are_dropped(tmp_path, log_lines):
    out, gate = tmp_path / "out", tmp_path / "gate"
    script = 'while [ ! -e "$2" ]; do sleep 0.01; done; cat >> "$1"'
    sink = sink_of("sh", "-c", script, "sh", str(out), str(gate), queue_messages=2)
    for number in range(20):
        sink.send(event(number))
    gate.touch()
    assert sink.close(60) == 0
    numbers = [json.loads(line)["payload"]["n"] for line in out.read_text().splitlines()]
    assert numbers[-2:] == [18, 19]
    assert len(numbers) <= 3
    assert log_lines()[-1] == f"command: {20 - len(numbers)} results were dropped in all"


def test_what_still_runs_at_the_end_is_ended_and_nothing_more_is_started(tmp_path, log_lines):
    out = tmp_path / "out"
    sink = sink_of("sh", "-c", 'echo >> "$1"; exec sleep 60', "sh", str(out))
    for number in range(3):
        sink.send(event(number))
    assert eventually(lambda: out.exists() and out.read_text())
    with Stopwatch() as watch:
        assert sink.close(0.1) == 3
    assert watch.elapsed_s < 10
    assert eventually(lambda: not sink._thread.is_alive())
    assert out.read_text() == "\n"
    assert log_lines() == []


def test_a_program_that_fails_or_reads_nothing_is_told_of_and_the_next_runs(tmp_path, log_lines):
    sink = sink_of("sh", "-c", "exit 3")
    large = b'{"x":"' + b"x" * 200_000 + b'"}'  # more than a pipe holds
    sink.send(message(payload=large, policy="event"))
    sink.send(event(1))
    assert sink.close(60) == 0
    assert "sh ended with status 3" in log_lines()[0]
    assert log_lines()[-1] == "command: 2 results were dropped in all"


def test_what_a_program_prints_goes_to_stderr_and_it_cannot_speak_to_systemd(capfd, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    sink = sink_of(
        sys.executable, "-c", "import os; print('said', os.environ.get('NOTIFY_SOCKET'))"
    )
    sink.send(event(0))
    assert sink.close(60) == 0
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "said None" in captured.err


def test_a_program_that_is_not_there_is_refused_before_it_is_needed(tmp_path, log_lines):
    plain = tmp_path / "plain"
    plain.touch()
    for program in ("no-such-program-here", str(plain), str(tmp_path)):
        with pytest.raises(ConfigError, match="expected a program on the PATH"):
            check_command(Command(command=(program,)))
    check_command(Command(command=("sh", "x")))
    assert os.access(plain, os.R_OK)
    sink = sink_of("no-such-program-here")
    sink.send(event(0))
    assert sink.close(60) == 0
    assert "cannot be run: No such file or directory" in log_lines()[0]
