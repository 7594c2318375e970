"""Under systemd a line of the log carries its priority, and the same warning comes few times."""

import logging
import os
import subprocess
import sys

import pytest

from edge import repeats
from edge.terminal import journal

pytestmark = pytest.mark.board

LOGS = """
import logging, os, sys
status = os.fstat(2)
if len(sys.argv) > 1:
    os.environ["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
from edge.terminal import command
from edge.errors import SourceError
log = logging.getLogger("edge.x")
def verb(_):
    log.debug("unseen")
    log.info("a line")
    log.warning("two\\nlines")
    for seconds in range(5):
        log.error("gone for %d s", seconds)
    for _ in range(5):
        log.info("asked for")
    raise SourceError("no camera; plug it in")
parser = command.new_parser("edge", "Does.")
command.add_verb(parser.add_subparsers(), "go", "Go.", run=verb, examples=[])
sys.exit(command.run(parser, ["go"]))
"""


def log_of(*arguments):
    done = subprocess.run(
        [sys.executable, "-c", LOGS, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    return done.stderr.splitlines()


def test_the_journal_is_given_priorities_and_no_more_than_a_few_of_the_same_warning():
    assert log_of("journal") == [
        "<6>edge.x: a line",
        "<4>edge.x: two",
        "<4>lines",
        *(f"<3>edge.x: gone for {seconds} s" for seconds in range(3)),
        *["<6>edge.x: asked for"] * 5,
        "<3>edge: no camera; plug it in",
    ]


def test_a_person_is_given_words_and_every_line():
    lines = log_of()
    assert lines[:3] == ["INFO edge.x: a line", "WARNING edge.x: two", "lines"]
    assert lines[3:8] == [f"ERROR edge.x: gone for {seconds} s" for seconds in range(5)]
    assert lines[-1] == "edge: no camera; plug it in"


def test_what_was_held_back_is_counted_when_it_is_told_again(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(repeats.time, "monotonic", lambda: now[0])
    seldom = journal.Seldom()
    seldom._repeats = repeats.Repeats(burst=journal.BURST, clock=lambda: now[0])

    def told():
        record = logging.LogRecord("edge", logging.WARNING, "x.py", 7, "broke %s", ("%s",), None)
        return record.getMessage() if seldom.filter(record) else None

    assert [told() for _ in range(5)] == ["broke %s"] * 3 + [None] * 2
    now[0] = repeats.REPEAT_S
    assert told() == "broke %s (3 times since the last such line)"


def test_another_stream_is_no_journal(monkeypatch):
    monkeypatch.setenv("JOURNAL_STREAM", "8:12345")
    assert not journal.is_journal()
    assert not journal.is_journal(descriptor=987)
    descriptor = os.open(os.devnull, os.O_WRONLY)
    status = os.fstat(descriptor)
    monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
    assert journal.is_journal(descriptor)
    os.close(descriptor)
