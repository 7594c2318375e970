"""The sink that keeps."""

from __future__ import annotations

import pytest
from factories import detections, observation

from edge.sinks.memory import MemorySink

pytestmark = pytest.mark.board


def test_the_newest_are_kept_in_order():
    sink = MemorySink(2)
    for sequence in range(4):
        sink.publish(observation(sequence))
    assert [kept.sequence for kept in sink.observations] == [2, 3]
    assert sink.close(1) == 0


def test_what_is_kept_does_not_change_with_the_decoders_buffers():
    sink, borrowed = MemorySink(), observation(result=detections(2))
    before = borrowed.result.copy()
    sink.publish(borrowed)
    borrowed.result.boxes[:] = 0
    borrowed.result.scores[:] = 0
    borrowed.stage_ms["invoke"] = 0
    [kept] = sink.observations
    assert (kept.result.boxes == before.boxes).all()
    assert (kept.result.scores == before.scores).all()
    assert kept.stage_ms["invoke"] == 1.5
