"""Events on the disk: found again whole and in order, whatever cut them off, and bounded."""

from __future__ import annotations

import errno
import logging
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import eventually

from edge.messages.envelope import Message
from edge.sinks.journal import RETRY_S, SLACK_BYTES, Journal
from edge.sinks.outbox import Outbox, Tally

pytestmark = pytest.mark.board

MUCH = 10**9


def event(number=0, *, payload=b""):
    return Message("edge/porch/front/events", payload or b"%d" % number, policy="event")


@pytest.fixture
def open_journal(tmp_path):
    """Return a function that opens the journal of this test; all are closed at the end."""
    opened = []

    def open_journal(**arguments):
        opened.append(Journal(tmp_path / "spool", **{"limit_bytes": MUCH} | arguments))
        return opened[-1]

    yield open_journal
    for journal in opened:
        journal.close()


def payloads(journal):
    return [message.payload for message in journal.live.values()]


def files(tmp_path):
    return sorted((tmp_path / "spool").glob("events-*"))


def test_what_is_not_done_is_found_again_in_order_with_all_that_it_says(open_journal):
    journal = open_journal()
    first = Message("a/b", b"\x00\xff", 0, retain=True, policy="event", correlation=b"7")
    numbers = [journal.append(each) for each in (first, event(1), event(2), event(3))]
    journal.done(numbers[1])
    journal.close()
    again = open_journal()
    assert list(again.live.values()) == [first, event(2), event(3)]
    assert again.append(event(4)) not in numbers


def test_an_event_is_in_the_file_when_it_was_accepted(open_journal, tmp_path):
    journal = open_journal()
    journal.append(event(payload=b"she came in"))
    (path,) = files(tmp_path)
    assert b"she came in" in path.read_bytes()


def test_each_event_is_synced_and_nothing_else_is_written(open_journal, tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_size))
    journal = open_journal()
    journal.append(event())
    (path,) = files(tmp_path)
    size = path.stat().st_size
    assert eventually(lambda: size in synced)
    # Told that nothing happened, it sleeps.
    assert path.stat().st_size == size


@settings(max_examples=30)
@given(cut=st.integers(0, 400), garbage=st.binary(max_size=40))
def test_a_file_that_breaks_off_gives_the_events_before(tmp_path_factory, cut, garbage):
    folder = tmp_path_factory.mktemp("cut")
    journal = Journal(folder, limit_bytes=MUCH)
    ends = []
    for number in range(6):
        journal.append(event(number))
        ends.append(journal._size_bytes)
    journal.close()
    (path,) = folder.glob("events-*")
    path.write_bytes(path.read_bytes()[:cut] + garbage)
    again = Journal(folder, limit_bytes=MUCH)
    again.close()
    whole = sum(end <= cut for end in ends)
    assert payloads(again)[:whole] == [b"%d" % number for number in range(whole)]
    assert len(again.live) <= 6


def test_a_page_that_a_power_cut_left_empty_is_no_event(open_journal, tmp_path, caplog):
    journal = open_journal()
    journal.append(event(1))
    journal.close()
    (path,) = files(tmp_path)
    with path.open("ab") as file:
        file.write(bytes(4096))
    again = open_journal()
    again.append(event(2))
    assert payloads(again) == [b"1", b"2"]
    assert "the last 4096 bytes" in caplog.text


def test_a_cut_between_the_new_file_and_the_end_of_the_old_loses_nothing(open_journal, tmp_path):
    journal = open_journal()
    numbers = [journal.append(event(number)) for number in range(4)]
    journal.done(numbers[0])
    journal.close()
    (old,) = files(tmp_path)
    kept = old.read_bytes()
    second = open_journal()
    second.done(numbers[1])
    second.append(event(9))
    assert eventually(lambda: not old.exists())
    second.close()
    old.write_bytes(kept)
    assert payloads(open_journal()) == [b"2", b"3", b"9"]


def test_files_stay_small_while_events_come_and_go(open_journal, tmp_path):
    journal = open_journal()
    for _ in range(2000):
        journal.done(journal.append(event(payload=b"x" * 500)))
    assert eventually(lambda: len(files(tmp_path)) == 1)
    assert files(tmp_path)[0].stat().st_size <= 2 * SLACK_BYTES


def test_one_that_waits_for_long_is_carried_along(open_journal, tmp_path):
    journal = open_journal()
    journal.append(event(payload=b"old"))
    for _ in range(500):
        journal.done(journal.append(event(payload=b"x" * 500)))
    assert eventually(lambda: len(files(tmp_path)) == 1)
    journal.close()
    assert payloads(open_journal()) == [b"old"]


def test_a_full_disk_is_told_once_and_written_again_when_it_has_room(
    open_journal, tmp_path, monkeypatch, caplog
):
    caplog.set_level(logging.INFO)
    now = [0.0]
    journal = open_journal(clock=lambda: now[0])
    journal.append(event(1))
    write, is_full = os.write, [True]

    def write_if_room(file, data):
        if is_full[0] and len(data) > 20:
            write(file, data[:9])  # as a disk does that is full from there
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(os, "write", write_if_room)
    for number in (2, 3):
        journal.append(event(number))
        now[0] += RETRY_S
    assert payloads(journal) == [b"1", b"2", b"3"]
    told = [record.getMessage() for record in caplog.records if "can't be used" in record.message]
    assert len(told) == 1
    assert "(no space left on device): events wait in memory" in told[0]
    is_full[0] = False
    journal.append(event(4))
    assert "is written again" in caplog.text
    assert eventually(lambda: len(files(tmp_path)) == 1)
    journal.close()
    assert payloads(open_journal()) == [b"1", b"2", b"3", b"4"]


def test_a_disk_that_its_own_files_fill_has_room_again_once_events_are_done(
    open_journal, tmp_path, monkeypatch
):
    write, quota = os.write, 8192

    def write_if_room(file, data):
        room = quota - sum(path.stat().st_size for path in files(tmp_path))
        return write(file, data[:room]) if room > 0 else write(-1, data)

    def refuse(file, data):
        if file < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data)

    real, write = write, refuse
    monkeypatch.setattr(os, "write", write_if_room)
    now = [0.0]
    journal = open_journal(clock=lambda: now[0])
    numbers = [journal.append(event(payload=b"%d" % number * 1000)) for number in range(9)]
    for number in numbers[:7]:
        journal.done(number)
    now[0] += RETRY_S
    journal.append(event(9))
    assert journal.close() == 3
    assert [each[:1] for each in payloads(open_journal())] == [b"7", b"8", b"9"]


def test_a_folder_that_can_not_be_made_is_told_and_memory_used(tmp_path, caplog):
    (tmp_path / "file").touch()
    journal = Journal(tmp_path / "file" / "spool", limit_bytes=MUCH)
    journal.append(event(1))
    assert payloads(journal) == [b"1"]
    assert journal.close() == 0
    assert caplog.text.count("events wait in memory") == 1


def test_a_folder_that_comes_late_keeps_what_it_held_and_takes_what_waits(open_journal, tmp_path):
    journal = open_journal()
    numbers = [journal.append(event(number)) for number in range(9)]
    for number in numbers[:7]:
        journal.done(number)
    journal.close()
    folder, away = tmp_path / "spool", tmp_path / "away"
    folder.rename(away)
    folder.touch()  # as a mount that is late, or a disk that is read-only at first
    now = [0.0]
    late = open_journal(clock=lambda: now[0])
    late.done(late.append(event(10)))
    late.append(event(11))
    folder.unlink()
    away.rename(folder)
    now[0] += RETRY_S
    late.done(late.append(event(12)))
    assert payloads(late) == [b"11"]
    late.close()
    assert payloads(open_journal()) == [b"7", b"8", b"11"]


def test_a_second_process_leaves_the_journal_of_the_first_alone(open_journal, caplog):
    first = open_journal()
    first.append(event(1))
    second = open_journal()
    second.append(event(2))
    assert "another process has it open" in caplog.text
    assert second.close() == 0
    assert first.close() == 1
    assert payloads(open_journal()) == [b"1"]


def test_the_outbox_gives_what_the_disk_holds_first_and_erases_what_is_settled(open_journal):
    outbox = Outbox(messages=2, size_bytes=MUCH, journal=open_journal())
    for number in range(5):
        outbox.put(event(number))
    outbox.put(Message("t", b"stream"))
    outbox.settle(outbox.take())
    # Taken and never settled, as when the power goes.
    outbox.take()
    outbox._journal.close()
    again = Outbox(messages=2, size_bytes=MUCH, journal=open_journal())
    assert again.tally() == Tally(0, 0, 4)
    again.put(event(5))
    taken = [again.take() for _ in range(5)]
    assert [entry.message.payload for entry in taken] == [b"1", b"2", b"3", b"4", b"5"]
    for entry in taken:
        again.settle(entry)
    again._journal.close()
    assert payloads(open_journal()) == []


def test_what_is_no_event_is_not_written(open_journal, tmp_path):
    outbox = Outbox(messages=10, size_bytes=MUCH, journal=open_journal())
    for _ in range(50):
        outbox.put(Message("t", b"stream"))
        outbox.put(Message("t", b"state", policy="state"))
        outbox.settle(outbox.take())
    assert files(tmp_path) == []


def test_the_oldest_events_beyond_the_bytes_of_the_spool_are_dropped_and_counted(open_journal):
    outbox = Outbox(messages=2, size_bytes=10**6, journal=open_journal(limit_bytes=5000))
    for number in range(10):
        outbox.put(event(payload=b"%d" % number * 1000))
    kept = 5000 // (1000 + 256)
    assert outbox.tally() == Tally(0, 10 - kept, kept)
    outbox._journal.close()
    assert [each[:1] for each in payloads(open_journal())] == [b"7", b"8", b"9"]
