"""The end of another thread's wait."""

from __future__ import annotations

import select
import threading
from contextlib import closing

import pytest

from edge.sinks.waker import Waker

pytestmark = pytest.mark.board


def is_awake(waker):
    return bool(select.select([waker], [], [], 0)[0])


def test_a_wake_up_is_seen_until_it_is_drained():
    with closing(Waker()) as waker:
        assert not is_awake(waker)
        waker.wake()
        assert is_awake(waker)
        waker.drain()
        assert not is_awake(waker)
        waker.wake()
        assert is_awake(waker)


def test_a_hundred_thousand_wake_ups_without_a_reader_do_not_block():
    with closing(Waker()) as waker:
        for _ in range(100_000):
            waker.wake()
        waker.drain()
        assert not is_awake(waker)


def test_no_news_is_missed_between_two_threads():
    news, seen, rounds = [], 0, 5000
    with closing(Waker()) as waker:

        def tell():
            for number in range(rounds):
                news.append(number)
                waker.wake()

        teller = threading.Thread(target=tell)
        teller.start()
        while seen < rounds:
            assert select.select([waker], [], [], 5)[0], f"asleep with {len(news) - seen} unseen"
            waker.drain()
            seen = len(news)
        teller.join()
