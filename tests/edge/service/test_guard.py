"""What becomes of a start: good, failed with a reason, crashed, or ended from outside."""

import json
import os
import signal

import pytest

from edge.errors import SourceError
from edge.service import safe
from edge.service.guard import guarded
from edge.service.starts import MOST_FAILED

pytestmark = pytest.mark.board


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    path = tmp_path / "door.toml"
    path.write_text('[device]\nname = "door"\n')
    return path


def kept(config):
    return json.loads((config.parent / "starts.json").read_bytes())


def breaking(error):
    def start(_life):
        raise error

    return start


def test_a_failed_start_is_kept_with_its_sentence_and_a_good_end_forgets_it(config):
    with pytest.raises(SourceError):
        guarded(breaking(SourceError("no camera; plug it in")), config)
    assert (kept(config)["failed"], kept(config)["reason"]) == (1, "no camera; plug it in")
    guarded(lambda _life: None, config)
    assert kept(config)["failed"] == 0


def test_of_a_programs_own_fault_only_the_kind_is_kept(config):
    with pytest.raises(KeyError):
        guarded(breaking(KeyError("a secret")), config)
    assert kept(config)["reason"] == "KeyError; the journal has its traceback"


def test_what_fails_after_a_good_start_counts_as_no_failed_one(config):
    def start(life):
        life.is_sound = True
        life._on_sound()
        raise SourceError("the last camera ended")

    with pytest.raises(SourceError):
        guarded(start, config)
    assert kept(config)["failed"] == 0
    assert kept(config)["speaks"]["device"] == "door"


def test_sigterm_during_a_start_is_a_clean_end(config):
    with pytest.raises(SystemExit) as end:
        guarded(lambda _life: os.kill(os.getpid(), signal.SIGTERM), config)
    assert end.value.code == 0
    assert kept(config)["failed"] == 0


@pytest.mark.parametrize(("number", "goes_on"), [(signal.SIGHUP, True), (signal.SIGINT, False)])
def test_in_safe_mode_sighup_starts_again_and_ctrl_c_ends(config, monkeypatch, number, goes_on):
    for _ in range(MOST_FAILED):
        with pytest.raises(SourceError):
            guarded(breaking(SourceError("no camera")), config)
    monkeypatch.setattr(safe, "_wish", waking(number, safe._wish))
    started = []
    guarded(started.append, config)
    assert bool(started) == goes_on


def waking(number, wish):
    def woken(*arguments):
        os.kill(os.getpid(), number)
        return wish(*arguments)

    return woken


def test_the_pause_ends_safe_mode_by_itself(config, monkeypatch):
    for _ in range(MOST_FAILED):
        with pytest.raises(SourceError):
            guarded(breaking(SourceError("no camera")), config)
    monkeypatch.setattr("edge.service.starts.FIRST_PAUSE_S", 0.0)
    with pytest.raises(SourceError):
        guarded(breaking(SourceError("still none")), config)
    assert (kept(config)["failed"], kept(config)["reason"]) == (MOST_FAILED + 1, "still none")
