"""What a child says, and how it ends; the frames of real ones are tested with their sources."""

from __future__ import annotations

import numpy as np
import pytest
from waiting import Stopwatch

from edge.capture.child import Child
from edge.errors import SourceError

pytestmark = pytest.mark.board

LONG_S = 10.0


def started(script: str) -> Child:
    return Child(
        "bash", lambda write: ["-c", script.format(write)], name="sh", install="it", on_stdout=False
    )


def test_the_end_of_a_child_is_seen_though_what_it_started_goes_on_and_holds_its_pipe():
    child = started("sleep 5 {0}>&- & echo broken; exit 3")
    try:
        with (
            Stopwatch() as watch,
            pytest.raises(SourceError, match="bash ended with status 3: broken"),
        ):
            child.fill(np.empty(4, np.uint8), LONG_S)
        assert watch.elapsed_s < 4
    finally:
        child.close()


def test_no_line_is_lost_in_the_middle_of_much_that_is_said():
    line = "x" * 2000 + "here"
    filling = "y" * 99
    script = "i=0; while [ $i -lt 70 ]; do echo %s; i=$((i+1)); done" % filling  # noqa: UP031
    child = started(f"exec {{0}}>&-; {script}; echo {line}; {script}; sleep 20")
    found = False
    try:
        while not found:
            assert child.listen(LONG_S / 2)
            found = line.encode() in child.said
    finally:
        child.close()
    assert found
