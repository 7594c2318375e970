"""Failed starts are counted in a file that a power cut, a full disk or a cat cannot turn on us."""

import os

import pytest

from edge.service.starts import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    LONGEST_REASON,
    MOST_FAILED,
    UNTOLD,
    Starts,
    Voice,
    file_name,
)

pytestmark = pytest.mark.board


@pytest.fixture
def files(tmp_path):
    config, model = tmp_path / "door.toml", tmp_path / "door.tflite"
    config.write_text("x")
    model.write_bytes(b"x")
    return [config, model, tmp_path / "missing"]


def failing(folder, files, times):
    for number in range(times):
        starts = Starts(folder, files)
        starts.begin()
        starts.fail(f"fault {number}")
    return Starts(folder, files)


def test_five_in_a_row_are_too_many_and_each_further_one_doubles_the_pause(tmp_path, files):
    assert not failing(tmp_path, files, MOST_FAILED - 1).are_too_many
    starts = failing(tmp_path, files, 1)
    assert starts.are_too_many
    assert (starts.kept.reason, starts.pause_s) == ("fault 0", FIRST_PAUSE_S)
    assert failing(tmp_path, files, 1).pause_s == 600.0
    assert failing(tmp_path, files, 9).pause_s == LONGEST_PAUSE_S


def test_a_device_that_fails_for_years_still_waits_and_tries(tmp_path, files):
    starts = failing(tmp_path, files, MOST_FAILED)
    starts._write(failed=10**12)
    assert starts.pause_s == LONGEST_PAUSE_S
    starts.begin()


def test_two_services_with_one_folder_count_each_their_own(tmp_path, files):
    other = tmp_path / "gate.toml"
    other.write_text("x")
    for _ in range(MOST_FAILED):
        failing(tmp_path, files, 1)
        failing(tmp_path, [other], 1).forget(Voice("gate"))
    assert Starts(tmp_path, files).are_too_many
    assert Starts(tmp_path, files).kept.speaks == Voice()


def test_a_file_that_was_changed_in_safe_mode_is_another_chance_there_too(tmp_path, files):
    starts = failing(tmp_path, files, MOST_FAILED)
    files[0].write_text("mended")
    starts.begin()
    assert starts.kept.failed == 1


def test_a_reason_that_never_ends_is_cut(tmp_path, files):
    starts = failing(tmp_path, files, 1)
    starts.fail("x" * 10**6)
    assert len(Starts(tmp_path, files).kept.reason) == LONGEST_REASON


def test_a_start_that_dies_without_a_word_counts(tmp_path, files):
    for _ in range(MOST_FAILED):
        Starts(tmp_path, files).begin()
    starts = Starts(tmp_path, files)
    assert starts.are_too_many
    assert starts.kept.reason == UNTOLD


def test_a_good_start_forgets_those_before_and_remembers_how_to_speak(tmp_path, files):
    failing(tmp_path, files, 3).forget(Voice("door"))
    starts = failing(tmp_path, files, 4)
    assert not starts.are_too_many
    assert starts.kept.speaks == Voice("door")


@pytest.mark.parametrize("change", ["touch", "write", "appear", "leave"])
def test_a_changed_file_is_another_chance(tmp_path, files, change):
    starts = failing(tmp_path, files, MOST_FAILED)
    assert not starts.have_changed()
    config, model, missing = files
    if change == "touch":
        os.utime(config, ns=(1, 1))
    elif change == "write":
        model.write_bytes(b"more")
    elif change == "appear":
        missing.touch()
    else:
        model.unlink()
    assert starts.have_changed()
    assert not Starts(tmp_path, files).are_too_many


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\0" * 64,
        b'{"failed": "many"}',
        b'{"failed": -9}',
        b"[" * 99_999,
        b'{"failed": 5, "new": 1}',
        b"[]",
        b"\xff",
    ],
)
def test_a_damaged_file_is_said_and_counts_nothing(tmp_path, files, content, caplog):
    (tmp_path / file_name(files[0])).write_bytes(content)
    assert not Starts(tmp_path, files).are_too_many
    assert "counted anew" in caplog.text
    assert failing(tmp_path, files, MOST_FAILED).are_too_many


def test_a_power_cut_while_it_is_written_leaves_the_one_before(tmp_path, files, monkeypatch):
    starts = failing(tmp_path, files, 3)
    monkeypatch.setattr("edge.record.os.fsync", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        starts.begin()
    assert Starts(tmp_path, files).kept.failed == 3


def test_a_folder_that_takes_nothing_is_said_and_ends_nothing(tmp_path, files, caplog):
    (tmp_path / "state").touch()
    failing(tmp_path / "state", files, 1)
    assert "cannot be counted" in caplog.text
    failing(None, files, 1)


def test_only_its_owner_reads_where_the_broker_is(tmp_path, files):
    failing(tmp_path / "state", files, 1)
    assert (tmp_path / "state" / file_name(files[0])).stat().st_mode & 0o777 == 0o600
