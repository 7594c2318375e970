"""The progress bar, on a real terminal and on none."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios

import pytest

pytestmark = pytest.mark.board

DRAW = """
import time
from edge.terminal.progress import bar
with bar("draw", unit="sheep", patience_s={patience}) as tell:
    if tell is None:
        print("no bar")
    else:
        for done in range(1, 5):
            tell(done, 4)
            time.sleep(0.25)
"""
WAIT = """
import time
from edge.terminal.progress import waiting
with waiting("import"):
    time.sleep({seconds})
"""


def on_terminal(program):
    """Return what a program writes to the terminal that its stderr is."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    subprocess.run([sys.executable, "-c", program], stderr=theirs, check=True)
    text = b"" if not select.select([ours], [], [], 0)[0] else os.read(ours, 65536)
    os.close(theirs)
    os.close(ours)
    return text.decode()


def left_on_screen(text):
    """Return what a terminal's line shows in the end."""
    return text.rpartition("\r")[2].strip()


def test_a_terminal_shows_how_far_it_is_and_is_left_clean():
    text = on_terminal(DRAW.format(patience=0))

    assert "draw" in text
    assert re.search(r"50%\|█+ +\| 2/4", text)
    assert "4/4" in text
    assert "sheep" in text
    assert left_on_screen(text) == ""


def test_what_is_done_at_once_needs_no_bar():
    assert on_terminal(DRAW.format(patience=60)) == ""


def test_a_long_step_shows_how_long_it_takes_and_is_wiped():
    text = on_terminal(WAIT.format(seconds=1.8))

    assert re.search("import … 00:0[1-9]", text)
    assert left_on_screen(text) == ""


def test_a_short_step_shows_nothing():
    assert on_terminal(WAIT.format(seconds=0)) == ""


def test_without_a_terminal_there_is_none():
    done = subprocess.run(
        [sys.executable, "-c", DRAW.format(patience=0)], capture_output=True, text=True, check=True
    )

    assert (done.stdout, done.stderr) == ("no bar\n", "")
