"""What becomes of a start: good, failed with a reason, crashed, or ended from outside."""

import json
import os
import signal

import pytest

from edge.config.reading import load, load_sound_part
from edge.errors import SourceError
from edge.service import safe
from edge.service.safe import guarded
from edge.service.starts import MOST_FAILED, Starts, Voice, file_name

pytestmark = pytest.mark.board


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    path = tmp_path / "door.toml"
    path.write_text('[device]\nname = "door"\n')
    return path


def kept(config):
    return json.loads((config.parent / file_name(config)).read_bytes())


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


def test_a_reload_during_the_start_ends_nothing(config, caplog):
    guarded(lambda _life: os.kill(os.getpid(), signal.SIGHUP), config)
    assert "before the start was over" in caplog.text


BROKER = '[mqtt]\nurl = "mqtt://broker"\n'


@pytest.mark.parametrize(
    ("text", "device", "broker"),
    [
        pytest.param("no TOML", "roof", "old", id="nothing can be read"),
        pytest.param('[device]\nname = "a b"\n' + BROKER, "roof", "broker", id="a faulty name"),
        pytest.param('[device]\nname = "door"\n', "door", None, id="no broker any more"),
        pytest.param('[device]\nname = "door"\n' + BROKER, "door", "broker", id="another one"),
    ],
)
def test_it_speaks_as_before_only_where_its_configuration_is_faulty(config, text, device, broker):
    config.write_text('[device]\nname = "roof"\n[mqtt]\nurl = "mqtt://old"\n')
    before = Voice.of(load(config, {}))
    config.write_text(text)
    voice = before.unless_sound(config, Voice.of(load_sound_part(config)))
    assert voice.device == device
    assert (voice.mqtt and voice.mqtt.host) == broker


def test_a_voice_is_kept_whatever_bytes_are_in_a_name(tmp_path):
    folder = tmp_path / os.fsdecode(b"k\xfcche")
    folder.mkdir()
    path = folder / "door.toml"
    path.write_text('[mqtt]\nurl = "mqtt://me@broker"\npassword_file = "p"\n')
    Starts(tmp_path, [path]).forget(Voice.of(load(path, {})))
    assert Starts(tmp_path, [path]).kept.speaks.mqtt.password_file.name == "p"
