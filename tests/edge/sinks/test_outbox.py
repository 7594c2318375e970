"""The outbox against lists, its bounds, its suspects, and between threads."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.messages.envelope import Message
from edge.sinks.outbox import HOLD_S, OVERHEAD_BYTES, Outbox, Tally

pytestmark = pytest.mark.board

MUCH = 10**9
STEPS = st.lists(st.sampled_from(["stream", "event", "take", "settle", "put_back"]), max_size=60)


def message(payload=b"x", policy="stream", **fields):
    return Message("topic", payload, policy=policy, **fields)


def taken(outbox):
    entries = []
    while (entry := outbox.take()) is not None:
        entries.append(entry)
    return [entry.message.payload for entry in entries]


@given(st.integers(1, 5), STEPS)
def test_stream_and_events_behave_as_two_lists_of_which_the_heads_are_cut(capacity, steps):
    outbox = Outbox(messages=capacity, size_bytes=MUCH)
    lanes, on_way, settled, dropped = {"event": [], "stream": []}, [], 0, 0
    for number, step in enumerate(steps):
        if step in lanes:
            outbox.put(message(b"%d" % number, step))
            lanes[step].append((step, b"%d" % number))
        elif step == "take":
            entry = outbox.take()
            lane = lanes["event"] or lanes["stream"]
            assert (entry and entry.message.payload) == (lane[0][1] if lane else None)
            on_way += [(*lane.pop(0), entry)] if lane else []
        elif step == "settle" and on_way:
            outbox.settle(on_way.pop(0)[2])
            settled += 1
        elif step == "put_back":
            outbox.put_back([entry for *_, entry in on_way], lost=False)
            for policy, lane in lanes.items():
                lane[:0] = [(name, payload) for name, payload, _ in on_way if name == policy]
            on_way = []
        for lane in lanes.values():
            dropped += max(0, len(lane) - capacity)
            del lane[: max(0, len(lane) - capacity)]
        waiting = sum(map(len, lanes.values()))
        assert outbox.tally() == Tally(settled, dropped, waiting + len(on_way))
    assert taken(outbox) == [payload for lane in lanes.values() for _, payload in lane]


def test_states_go_first_then_events_then_the_stream():
    outbox = Outbox(messages=9, size_bytes=MUCH)
    for policy in ("stream", "event", "state"):
        outbox.put(message(policy.encode(), policy))
    assert taken(outbox) == [b"state", b"event", b"stream"]


def test_of_a_state_the_newest_of_each_key_is_sent_and_again_once_renewed():
    outbox = Outbox(messages=9, size_bytes=MUCH)
    for key, payload in (("a", b"1"), ("b", b"2"), ("a", b"3")):
        outbox.put(message(payload, "state", key=key))
    assert sorted(taken(outbox)) == [b"2", b"3"]
    assert taken(outbox) == []
    outbox.renew()
    assert sorted(taken(outbox)) == [b"2", b"3"]
    assert outbox.tally() == Tally(0, 0, 0)


def test_a_state_that_was_replaced_on_its_way_does_not_come_back():
    outbox = Outbox(messages=9, size_bytes=MUCH)
    outbox.put(message(b"old", "state"))
    old = outbox.take()
    outbox.put(message(b"new", "state"))
    outbox.put_back([old], lost=True)
    outbox.settle(old)
    assert taken(outbox) == [b"new"]


def test_bytes_are_bounded_the_stream_gives_way_before_events_and_these_before_states():
    room_for_three = 3 * (100 + OVERHEAD_BYTES)
    outbox = Outbox(messages=9, size_bytes=room_for_three)
    for number in range(4):
        outbox.put(message(b"%0100d" % number))
    assert outbox.tally().dropped == 1
    for policy in ("state", "event", "event"):
        outbox.put(message(policy.encode().ljust(100), policy))
    assert outbox.tally() == Tally(0, 4, 2)
    outbox.put(message(b"late".ljust(100)))
    assert outbox.tally() == Tally(0, 5, 2)
    outbox.put(message(b"last".ljust(100), "event"))
    assert [payload.split()[0] for payload in taken(outbox)] == [b"state", b"event", b"last"]
    assert outbox.tally() == Tally(0, 6, 2)


def test_images_that_many_states_hold_leave_room_for_the_stream_and_for_small_states():
    outbox = Outbox(messages=999, size_bytes=100_000)
    small = [f"state {number}" for number in range(20)]
    for key in small:
        outbox.put(message(b"s", "state", key=key))
    for number in range(40):
        outbox.put(message(bytes(10_000), "state", key=f"image {number}"))
        taken(outbox)
    outbox.put(message(bytes(1000)))
    assert outbox.tally() == Tally(0, 0, 1)
    outbox.renew()
    keys = [outbox.take().message.key for _ in range(24)]
    assert keys == [*small, *(f"image {number}" for number in range(36, 40))]


def test_states_are_not_results_and_all_kept_however_few_of_these_may_wait():
    outbox = Outbox(messages=1, size_bytes=MUCH)
    for number in range(20):
        outbox.put(message(b"%d" % number, "state", key=str(number)))
    assert len(taken(outbox)) == 20


def test_one_state_may_take_more_than_half_of_the_bytes():
    outbox = Outbox(messages=9, size_bytes=1000)
    for size_bytes in (500, 600, 700):
        outbox.put(message(bytes(size_bytes), "state", key=str(size_bytes)))
    assert taken(outbox) == [bytes(700)]


def test_a_message_that_never_fits_is_dropped_alone():
    outbox = Outbox(messages=9, size_bytes=1000)
    outbox.put(message(b"kept"))
    for policy in ("stream", "event", "state"):
        outbox.put(message(bytes(1000), policy))
    assert outbox.tally() == Tally(0, 2, 1)
    assert taken(outbox) == [b"kept"]


def test_what_was_put_back_keeps_to_the_bounds_too():
    size_bytes = 2 * (1 + OVERHEAD_BYTES)
    outbox = Outbox(messages=9, size_bytes=size_bytes)
    outbox.put(message(b"0"))
    entry = outbox.take()
    outbox.put(message(b"1"))
    outbox.put(message(b"2"))
    outbox.put_back([entry], lost=False)
    assert taken(outbox) == [b"1", b"2"]


def test_suspects_go_alone_and_the_one_that_is_alone_at_the_next_loss_is_given_up():
    outbox = Outbox(messages=9, size_bytes=MUCH)
    for payload in (b"large", b"large", b"s"):
        outbox.put(message(payload))
    assert outbox.put_back([outbox.take(), outbox.take()], lost=True) is None
    assert outbox.take(suspects=False) is None
    first = outbox.take()
    assert first.is_suspect
    outbox.settle(first)
    second = outbox.take()
    assert outbox.put_back([second], lost=True) is second
    assert outbox.tally() == Tally(1, 1, 1)
    assert not outbox.take(suspects=False).is_suspect


def test_what_is_as_large_as_a_refused_one_is_a_suspect_until_one_is_delivered():
    outbox = Outbox(messages=9, size_bytes=MUCH)
    outbox.put(message(bytes(50)))
    outbox.put_back([outbox.take()], lost=True)
    assert outbox.put_back([outbox.take()], lost=True) is not None
    for size_bytes in (49, 50, 51):
        outbox.put(message(bytes(size_bytes)))
    assert not outbox.take().is_suspect
    suspect = outbox.take()
    assert suspect.is_suspect
    outbox.settle(suspect)
    assert not outbox.take().is_suspect


def test_after_two_that_were_given_up_none_of_their_size_is_tried_for_a_while_but_events():
    now = [0.0]
    outbox = Outbox(messages=9, size_bytes=MUCH, clock=lambda: now[0])

    def try_one(size_bytes, policy="stream"):
        """Return whether one is hopeless; one that is not ends two connections."""
        outbox.put(message(bytes(size_bytes), policy))
        entry = outbox.take()
        if outbox.is_hopeless(entry):
            outbox.give_up(entry)
            return True
        while outbox.put_back([entry], lost=True) is None:
            entry = outbox.take()
        return False

    assert [try_one(50) for _ in range(3)] == [False, False, True]
    assert try_one(50, "event") is False
    now[0] += 2 * HOLD_S - 1
    assert try_one(50)
    now[0] += 1
    assert [try_one(60), try_one(50)] == [False, True]
    outbox.put(message(bytes(49)))
    assert not outbox.is_hopeless(outbox.take())
    outbox.put(message(bytes(50), "event"))
    outbox.settle(outbox.take())
    assert try_one(50) is False


def test_a_silent_receiver_makes_nobody_a_suspect():
    outbox = Outbox(messages=9, size_bytes=MUCH)
    outbox.put(message())
    for _ in range(3):
        assert outbox.put_back([outbox.take(suspects=False)], lost=False) is None


def test_a_state_that_is_refused_is_not_renewed():
    outbox = Outbox(messages=9, size_bytes=MUCH)
    outbox.put(message(policy="state"))
    outbox.put_back([outbox.take()], lost=True)
    assert outbox.put_back([outbox.take()], lost=True) is not None
    outbox.renew()
    assert outbox.take() is None


def test_every_message_of_three_threads_is_settled_or_dropped():
    outbox = Outbox(messages=50, size_bytes=MUCH)
    rounds = 2000

    def fill():
        for number in range(rounds):
            outbox.put(message(b"%d" % number))

    writers = [threading.Thread(target=fill) for _ in range(3)]
    for writer in writers:
        writer.start()
    settled = 0
    while any(writer.is_alive() for writer in writers) or outbox.tally().waiting:
        if (entry := outbox.take()) is not None:
            outbox.settle(entry)
            settled += 1
    tally = outbox.tally()
    assert tally.settled == settled
    assert tally.settled + tally.dropped == 3 * rounds


@pytest.mark.parametrize("messages", [0, -1])
def test_a_capacity_that_holds_nothing_is_refused(messages):
    with pytest.raises(ValueError, match="messages must be 1 or more"):
        Outbox(messages=messages, size_bytes=MUCH)
