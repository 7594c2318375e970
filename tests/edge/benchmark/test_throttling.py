"""The firmware's throttle bits, one by one."""

from __future__ import annotations

import pytest

from edge.benchmark import throttling

pytestmark = pytest.mark.board


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        pytest.param(0, [], id="none"),
        pytest.param(0x1, ["under-voltage now"], id="under-voltage"),
        pytest.param(0x2, ["frequency capped now"], id="capped"),
        pytest.param(0x4, ["throttled now"], id="throttled"),
        pytest.param(0x8, ["soft temperature limit now"], id="soft limit"),
        pytest.param(0x10000, ["under-voltage since boot"], id="under-voltage, past"),
        pytest.param(0x20000, ["frequency capped since boot"], id="capped, past"),
        pytest.param(0x40000, ["throttled since boot"], id="throttled, past"),
        pytest.param(0x80000, ["soft temperature limit since boot"], id="soft limit, past"),
        pytest.param(
            0x50005,
            [
                "under-voltage now",
                "throttled now",
                "under-voltage since boot",
                "throttled since boot",
            ],
            id="a weak supply",
        ),
        pytest.param(0x100010, ["unknown bits 0x100010"], id="bits of a later firmware"),
    ],
)
def test_each_bit_has_its_words(bits, words):
    assert throttling.words(bits) == words


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        pytest.param([0x50000, 0x50000], [], id="before the run only"),
        pytest.param([0, 0x4, 0x40000], ["throttled"], id="seen"),
        pytest.param([0, 0x40000], ["throttled"], id="between two looks"),
        pytest.param([0x10000, 0x90000], ["soft temperature limit"], id="new beside an old one"),
    ],
)
def test_what_happened_in_the_run_is_told_from_what_was_before(seen, words):
    assert throttling.during(seen) == words
