"""The sink that keeps."""

from __future__ import annotations

import pytest
from factories import message

from edge.sinks.memory import MemorySink

pytestmark = pytest.mark.board


def test_the_newest_are_kept_in_order():
    sink = MemorySink(2)
    for sequence in range(4):
        sink.send(message(sequence))
    assert sink.messages == [message(2), message(3)]
    assert sink.close(1) == 0
