"""What a power cut leaves is worked out from the log alone, and what it left is judged by lists."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import random
import struct
from types import SimpleNamespace

import pytest
from boardtest import cuts, steps
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.board

SECTOR, BLOCK = 512, 4096
FLUSH, FUA, DISCARD = 1, 2, 4
LOST = SimpleNamespace(random=lambda: 0.0)
KEPT = SimpleNamespace(random=lambda: 1.0)
SIZE = 8 * BLOCK


def entry(at, data=b"", flags=0, *, sectors=None):
    """Return a request as the log has it: a sector that describes it, then its data."""
    count = len(data) // SECTOR if sectors is None else sectors
    return struct.pack("<QQQQ", at // SECTOR, count, flags, 0).ljust(SECTOR, b"\0") + data


def block(letter, *, count=1):
    return letter.encode() * (BLOCK * count)


@pytest.fixture
def card(tmp_path):
    """Return a function that writes a log and gives what a cut after some requests leaves."""
    before = tmp_path / "before"
    before.write_bytes(block("-", count=SIZE // BLOCK))

    def after(*entries, at, rng):
        log = tmp_path / "log"
        log.write_bytes(b"\0" * SECTOR + b"".join(entries))
        lost = cuts.cut(before, log, tmp_path / "after", at=at, rng=rng)
        assert before.read_bytes() == block("-", count=SIZE // BLOCK)
        data = (tmp_path / "after").read_bytes()
        assert len(data) == SIZE
        return "".join(chr(data[place]) for place in range(0, SIZE, BLOCK)), lost

    return after


def test_a_log_is_read_to_where_it_was_cut_off(tmp_path):
    whole = [
        entry(0, block("a")), entry(0, flags=FLUSH), entry(BLOCK, flags=DISCARD, sectors=64),
        entry(2 * BLOCK, block("b"), FUA),
    ]  # fmt: skip
    log = tmp_path / "log"
    for cut_off in range(1, BLOCK + SECTOR, 700):
        log.write_bytes(b"\0" * SECTOR + b"".join(whole)[:-cut_off])
        assert [write.at for write in cuts.read_log(log)] == [0, 0, BLOCK]

    log.write_bytes(b"\0" * SECTOR + b"".join(whole))
    found = cuts.read_log(log)

    assert [(write.at, write.length, write.flags) for write in found] == [
        (0, BLOCK, 0), (0, 0, FLUSH), (BLOCK, 0, DISCARD), (2 * BLOCK, BLOCK, FUA),
    ]  # fmt: skip
    assert log.read_bytes()[found[-1].data_at :] == block("b")


@pytest.mark.parametrize("left", [b"", b"\0" * SECTOR], ids=["empty", "nothing was written yet"])
def test_a_log_without_requests_has_none(tmp_path, left):
    (tmp_path / "log").write_bytes(left)

    assert cuts.read_log(tmp_path / "log") == []


def test_what_was_flushed_is_there_and_what_came_after_is_not_if_chance_has_it(card):
    log = [entry(0, block("a")), entry(0, flags=FLUSH), entry(BLOCK, block("b", count=2))]

    assert card(*log, at=3, rng=LOST) == ("a-------", 2)
    assert card(*log, at=3, rng=KEPT) == ("abb-----", 0)


def test_what_is_written_through_is_there_without_a_flush(card):
    log = [entry(0, block("a")), entry(BLOCK, block("b"), FUA), entry(2 * BLOCK, block("c"))]

    assert card(*log, at=3, rng=LOST) == ("-b------", 2)


def test_a_flush_that_came_after_the_cut_saves_nothing(card):
    log = [entry(0, block("a")), entry(BLOCK, block("b")), entry(0, flags=FLUSH)]

    assert card(*log, at=2, rng=LOST) == ("--------", 2)
    assert card(*log, at=3, rng=LOST) == ("ab------", 0)


def test_a_card_that_is_told_to_flush_nothing_has_no_cache_to_lose(card):
    log = [entry(0, block("a")), entry(BLOCK, block("b")), entry(2 * BLOCK, block("c"))]

    assert card(*log, at=2, rng=LOST) == ("ab------", 0)


@given(st.lists(st.integers(1, 5), min_size=4, max_size=9), st.integers(0, 99))
def test_each_time_between_two_flushes_is_cut_at_most_once(tmp_path_factory, counts, seed):
    path = tmp_path_factory.mktemp("log") / "log"
    writes = [[entry(0, block("a"))] * count + [entry(0, flags=FLUSH)] for count in counts]
    path.write_bytes(b"\0" * SECTOR + b"".join(part for some in writes for part in some))
    ends = list(itertools.accumulate(count + 1 for count in counts))

    found = cuts.points(path, (0, ends[-1]), 3, random.Random(seed))

    where = {next(number for number, end in enumerate(ends) if at < end) for at in found}
    assert len(where) == 3
    assert min(found) >= ends[0]


def test_a_write_is_lost_by_blocks_and_an_older_one_shows_there(card):
    chance = SimpleNamespace(random=iter([0.9, 0.1, 0.9]).__next__)
    log = [
        entry(0, block("a", count=3)), entry(0, flags=FLUSH), entry(0, block("b", count=3)),
    ]  # fmt: skip

    assert card(*log, at=3, rng=chance) == ("bab-----", 1)


def test_the_last_block_of_a_write_may_be_short(card, tmp_path):
    log = entry(0, b"a" * (BLOCK + SECTOR))

    assert card(log, at=1, rng=KEPT) == ("aa------", 0)

    data = (tmp_path / "after").read_bytes()
    assert data[: BLOCK + SECTOR + 1] == b"a" * (BLOCK + SECTOR) + b"-"


def digest(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def root(tmp_path):
    """Return a root with a whole release and its environment, which is the current one."""
    release = tmp_path / "opt/edge/releases/0123"
    (release / "model").mkdir(parents=True)
    (release / "model/m.tflite").write_bytes(b"model")
    listed = {"model/m.tflite": b"model", "wheels/numpy.whl": b"wheel", "install.sh": b"script"}
    rows = [{"path": path, "sha256": digest(data)} for path, data in listed.items()]
    (release / "bundle.json").write_text(json.dumps({"files": rows}))
    (release / ".complete").write_text("")
    packages = tmp_path / "opt/edge/venvs/45/lib/python3.13/site-packages"
    (packages / "numpy-2.dist-info").mkdir(parents=True)
    (packages / "numpy.py").write_bytes(b"pass")
    said = base64.urlsafe_b64encode(hashlib.sha256(b"pass").digest()).decode().rstrip("=")
    (packages / "numpy-2.dist-info/RECORD").write_text(
        f"numpy.py,sha256={said},4\nnumpy-2.dist-info/RECORD,,\n"
    )
    (tmp_path / "opt/edge/venvs/45/.complete").write_text("")
    (tmp_path / "opt/edge/current").symlink_to("releases/0123")
    return tmp_path


def test_a_whole_release_is_the_state_of_a_card(root):
    assert cuts.state(root) == "0123"


def test_a_card_without_a_current_release_is_at_none(root, tmp_path):
    (root / "opt/edge/current").unlink()

    assert cuts.state(root) == "none"
    assert cuts.state(tmp_path / "empty") == "none"


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda at: (at / "releases/0123/model/m.tflite").write_bytes(b""), id="empty"),
        pytest.param(lambda at: (at / "releases/0123/model/m.tflite").unlink(), id="gone"),
        pytest.param(lambda at: next(at.glob("venvs/45/lib/*/*/numpy.py")).unlink(), id="module"),
        pytest.param(
            lambda at: next(at.glob("venvs/45/lib/*/*/numpy.py")).write_bytes(b"past"),
            id="another module",
        ),
    ],
)
def test_what_says_that_it_is_complete_and_is_not_ends_the_test(root, spoil):
    spoil(root / "opt/edge")

    with pytest.raises(steps.TestFailed, match="is half there"):
        cuts.state(root)


@pytest.fixture
def small_card(tmp_path_factory, monkeypatch):
    """Return a card whose boot partition is the second MiB of two."""
    monkeypatch.setattr(cuts, "BOOT_AT_MIB", 1)
    monkeypatch.setattr(cuts, "BOOT_MIB", 1)
    path = tmp_path_factory.mktemp("card") / "card.img"
    path.write_bytes(bytes(2 << 20))
    return path


def spoil_boot(card, _):
    with card.open("r+b") as file:
        file.seek((2 << 20) - 1)
        file.write(b"x")


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_boot,
        lambda _, root: (root / "opt/edge/releases/0123/model/m.tflite").write_bytes(b"MODEL"),
        lambda _, root: (root / "opt/edge/releases/0123/.complete").unlink(),
        lambda _, root: (root / "opt/edge/releases/0123/.complete").chmod(0o600),
        lambda _, root: os.utime(next(root.glob("opt/edge/venvs/45/lib/*/*/numpy.py")), (1, 1)),
        lambda _, root: (root / "opt/edge/empty").mkdir(),
        lambda _, root: (
            (root / "opt/edge/current").unlink(), (root / "opt/edge/current").symlink_to("/0123"),
        ),
    ],
    ids=["boot partition", "content", "gone", "mode", "time", "folder", "link"],
)  # fmt: skip
def test_cards_are_the_same_only_with_all_that_a_boot_is_given(small_card, root, spoil):
    before = cuts.content(small_card, root)
    assert cuts.content(small_card, root) == before

    spoil(small_card, root)

    assert cuts.content(small_card, root) != before


def test_what_is_before_the_boot_partition_and_free_is_no_content(small_card, root):
    before = cuts.content(small_card, root)
    with small_card.open("r+b") as file:
        file.write(b"x")

    assert cuts.content(small_card, root) == before


def test_what_does_not_say_that_it_is_complete_may_be_half_there(root):
    staged = root / "opt/edge/releases/6789.tmp"
    staged.mkdir()
    (staged / "bundle.json").write_text("{")

    assert cuts.state(root) == "0123"


def test_a_current_release_that_is_not_complete_ends_the_test(root):
    (root / "opt/edge/releases/0123/.complete").unlink()

    with pytest.raises(steps.TestFailed, match="releases/0123, which is not complete"):
        cuts.state(root)
