"""What commands have saved lies over the file, shows, and never keeps a device from starting."""

from __future__ import annotations

import pytest

from edge import cli
from edge.config import overlay
from edge.config.reading import load
from edge.errors import ConfigError

pytestmark = pytest.mark.board


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = tmp_path / "porch.toml"
    path.write_text('[device]\nname = "porch"\n')
    return path


def test_a_key_goes_by_what_was_saved_until_the_file_has_another_value(path):
    overlay.keep(path, "porch", {"model.score_threshold": 0.9})
    assert load(path, {}).model.score_threshold == 0.9
    assert load(path, {"model": {"score_threshold": 0.2}}).model.score_threshold == 0.2

    path.write_text(path.read_text() + "[model]\nscore_threshold = 0.7\n")
    assert load(path, {}).model.score_threshold == 0.7


def test_none_takes_a_key_of_the_file_out(path):
    path.write_text(path.read_text() + "[model]\nscore_threshold = 0.7\n")
    overlay.keep(path, "porch", {"model.score_threshold": None})

    assert load(path, {}).model.score_threshold is None


def test_values_that_do_not_fit_are_left_out_and_told(path, caplog):
    overlay.keep(path, "porch", {"model.score_threshold": 7})
    assert load(path, {}).model.score_threshold is None
    assert "does not fit" in caplog.text

    overlay.place("porch").write_text("{")
    assert load(path, {}).model.score_threshold is None
    assert "is left out: expected JSON" in caplog.text


def test_a_saved_model_that_is_gone_is_left_out_and_told(path, tmp_path, caplog):
    overlay.keep(path, "porch", {"model.file": str(tmp_path / "gone.tflite")})

    assert load(path, {}).model.file is None
    assert "is gone" in caplog.text


def test_check_names_what_is_saved_and_how_to_undo_it(path, capsys):
    cli.main(["check", str(path)])
    assert "commands have saved" not in capsys.readouterr().out

    overlay.keep(path, "porch", {"model.score_threshold": 0.9})
    overlay.save("porch", overlay.saved("porch").replace(paused=("door",)))
    cli.main(["check", str(path)])
    assert (
        "commands have saved model.score_threshold = 0.9, camera door is paused in "
        f"{overlay.place('porch')}; delete it to undo them"
    ) in capsys.readouterr().out


def test_where_nothing_can_be_written_it_is_said(path, tmp_path):
    (tmp_path / "state").write_text("no folder")

    with pytest.raises(ConfigError, match="cannot be written"):
        overlay.keep(path, "porch", {"model.score_threshold": 0.9})
