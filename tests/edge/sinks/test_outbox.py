"""The outbox against a list, and between two threads."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.sinks.outbox import Outbox, Tally

pytestmark = pytest.mark.board

STEPS = st.lists(st.sampled_from(["put", "take", "settle", "put_back"]), max_size=60)


@given(st.integers(1, 5), STEPS)
def test_it_behaves_as_a_list_of_which_the_head_is_cut(capacity, steps):
    outbox = Outbox(capacity)
    waiting, taken, settled, dropped = [], [], 0, 0
    for number, step in enumerate(steps):
        if step == "put":
            outbox.put(b"%d" % number)
            waiting.append(b"%d" % number)
        elif step == "take":
            message = outbox.take()
            assert message == (waiting[0] if waiting else None)
            taken += waiting[:1]
            waiting = waiting[1:]
        elif step == "settle" and taken:
            outbox.settle()
            taken.pop(0)
            settled += 1
        elif step == "put_back":
            outbox.put_back(taken)
            waiting, taken = taken + waiting, []
        dropped += max(0, len(waiting) - capacity)
        waiting = waiting[-capacity:]
        assert outbox.tally() == Tally(settled, dropped, len(waiting) + len(taken))
    assert [outbox.take() for _ in waiting] == waiting
    assert outbox.take() is None


def test_every_message_of_three_threads_is_settled_or_dropped():
    outbox = Outbox(50)
    rounds = 2000

    def fill():
        for number in range(rounds):
            outbox.put(b"%d" % number)

    writers = [threading.Thread(target=fill) for _ in range(3)]
    for writer in writers:
        writer.start()
    taken = 0
    while any(writer.is_alive() for writer in writers) or outbox.tally().waiting:
        if outbox.take() is not None:
            outbox.settle()
            taken += 1
    tally = outbox.tally()
    assert tally.settled == taken
    assert tally.settled + tally.dropped == 3 * rounds


@pytest.mark.parametrize("capacity", [0, -1])
def test_a_capacity_that_holds_nothing_is_refused(capacity):
    with pytest.raises(ValueError, match="capacity must be 1 or more"):
        Outbox(capacity)
