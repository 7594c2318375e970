"""Log lines as systemd's journal takes them: a priority each, no time, and few of the same.

Source: systemd.exec(5), JOURNAL_STREAM; sd-daemon(3), the prefixes.
"""

from __future__ import annotations

import logging
import os
import re
import sys

from edge.repeats import Repeats

# Levels from which syslog's priorities 3 (error), 4, 6 and 7 (debug) begin.
PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))
# The same warning is there so often in `edge.repeats.REPEAT_S`; who asks twice sees two answers.
BURST = 3
NUMBER = re.compile(r"\d+")


def is_journal(descriptor: int = 2) -> bool:
    """Whether a descriptor is the stream to the journal that systemd opened for this process."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def prefixed(text: str, level: int) -> str:
    """Return a text with the priority of a level before each of its lines."""
    number = next(number for least, number in PRIORITIES if level >= least)
    return "\n".join(f"<{number}>{line}" for line in text.splitlines())


class Seldom(logging.Filter):
    """Lets the same warning or error of the same place pass a few times, and then counts it.

    Numbers in it may differ, such as those of how long an outage was.
    """

    def __init__(self) -> None:
        super().__init__()
        self._repeats = Repeats(burst=BURST)

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record is to be written; one that stands for more says so."""
        if record.levelno < logging.WARNING:
            return True
        text = record.getMessage()
        times = self._repeats.count(f"{record.pathname}:{record.lineno} {NUMBER.sub('', text)}")
        if times > 1:
            record.msg, record.args = f"{text} ({times} times since the last such line)", None
        return times > 0


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return prefixed(super().format(record), record.levelno)


def handler() -> logging.Handler:
    """Return what writes the log to stderr: to the journal as it takes it, else as it is read."""
    written = logging.StreamHandler(sys.stderr)
    written.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    if is_journal():
        written.setFormatter(_Formatter("%(name)s: %(message)s"))
        written.addFilter(Seldom())
    return written
