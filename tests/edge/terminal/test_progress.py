"""The progress bar, on a real terminal and on none."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

pytestmark = pytest.mark.board

DRAW = """
from edge.terminal.progress import bar
with bar("draw", unit="sheep", patience_s={patience}) as tell:
    if tell is None:
        print("no bar")
    else:
        tell(1, 4)
        tell(4, 4)
"""


def on_terminal(program):
    """Return what a program writes to the terminal that its stderr is."""
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", program], stderr=theirs, check=True)
    os.close(theirs)
    text = os.read(ours, 65536).decode()
    os.close(ours)
    return text


def test_a_terminal_shows_how_far_it_is_and_is_left_clean():
    text = on_terminal(DRAW.format(patience=0))

    assert "draw [#######                       ] 1/4 sheep" in text
    assert f"[{'#' * 30}] 4/4 sheep" in text
    assert text.endswith("\r\x1b[K")


def test_what_is_done_at_once_needs_no_bar():
    assert "sheep" not in on_terminal(DRAW.format(patience=60))


def test_without_a_terminal_there_is_none():
    done = subprocess.run(
        [sys.executable, "-c", DRAW.format(patience=0)], capture_output=True, text=True, check=True
    )

    assert (done.stdout, done.stderr) == ("no bar\n", "")
