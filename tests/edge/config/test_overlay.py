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


def test_one_value_that_does_not_fit_takes_no_other_with_it(path, caplog):
    values = {"model.score_threshold": 0.9, "model.max_detections": -1, "model.iou_threshold": 0.3}
    overlay.keep(path, "porch", values)

    model = load(path, {}).model
    assert (model.score_threshold, model.iou_threshold, model.max_detections) == (0.9, 0.3, None)
    assert "model.max_detections, which a command has saved" in caplog.text


@pytest.mark.parametrize("own", ['model = "x"\n', "[[model]]\n", "[camera]\nsource = 3\n"])
def test_a_fault_of_the_file_is_the_files_own_and_no_fault_of_what_was_saved(path, caplog, own):
    overlay.keep(path, "porch", {"model.score_threshold": 0.9})
    path.write_text(own + path.read_text())

    with pytest.raises(ConfigError, match=r"\[?(model|camera)\]?"):
        load(path, {})
    assert "saved" not in caplog.text


def described(path, tmp_path, *, model="own"):
    """Write a configuration whose model has a description of its own; make the model's file."""
    for name in ("own", "other"):
        (tmp_path / f"{name}.tflite").touch()
    path.write_text(
        f'[device]\nname = "porch"\n[model]\nfile = "{model}.tflite"\ndescription = "own.toml"\n'
    )


def test_the_description_of_a_file_goes_and_comes_with_its_model(path, tmp_path, caplog):
    described(path, tmp_path)
    overlay.keep(path, "porch", {"model.file": str(tmp_path / "other.tflite")})
    assert load(path, {}).model.description is None

    (tmp_path / "other.tflite").unlink()
    assert load(path, {}).model.file == tmp_path / "own.tflite"
    assert load(path, {}).model.description == tmp_path / "own.toml"


def test_another_model_in_the_file_brings_its_description(path, tmp_path):
    described(path, tmp_path)
    overlay.keep(path, "porch", {"model.file": str(tmp_path / "other.tflite")})
    described(path, tmp_path, model="third")

    model = load(path, {}).model
    assert (model.file, model.description) == (tmp_path / "third.tflite", tmp_path / "own.toml")


def test_what_cannot_be_read_is_told_when_it_is_laid_over_and_not_at_each_look(path, caplog):
    overlay.save("porch", overlay.Saved())
    overlay.place("porch").write_text("{")
    for _ in range(3):
        assert overlay.saved("porch") == overlay.Saved()
    assert caplog.text == ""


def test_a_write_that_was_cut_off_leaves_what_was_there_and_nothing_to_pile_up(path):
    overlay.keep(path, "porch", {"model.score_threshold": 0.9})
    place = overlay.place("porch")
    place.with_name(place.name + ".new").write_text('{"keys": {"mod')

    assert load(path, {}).model.score_threshold == 0.9
    overlay.keep(path, "porch", {"model.score_threshold": 0.8})
    assert [each.name for each in place.parent.iterdir()] == [place.name]
