"""A model's format is told by what the file holds, and only then by its name."""

from __future__ import annotations

import zipfile

import pytest
from tflite_files import grid

from converter.choice import Choice, Origin
from converter.importing import READERS, SUFFIXES, import_model, is_ours, recognise
from edge.errors import ConfigError, ModelError
from edge.model import model_file
from edge.model.default import default_model_path

pytestmark = pytest.mark.converter


@pytest.mark.parametrize(
    ("name", "data", "form"),
    [
        ("model.json", b"{}", "tfjs"),
        ("net.cfg", b"[net]", "darknet"),
        ("graph.PB", b"\n", "frozen"),
        ("misnamed.pb", b"\x89HDF\r\n", "h5"),
        ("misnamed.h5", grid(), "tflite"),
        ("empty.onnx", b"", "onnx"),
    ],
)
def test_the_format_is_recognised(tmp_path, name, data, form):
    (tmp_path / name).write_bytes(data)

    assert recognise(tmp_path / name) == form
    assert form in READERS


def test_every_suffix_has_a_reader():
    assert set(SUFFIXES.values()) <= READERS.keys()


def test_a_folder_is_a_saved_model_or_nothing(tmp_path):
    with pytest.raises(ModelError, match=r"without saved_model\.pb"):
        recognise(tmp_path)
    (tmp_path / "saved_model.pb").touch()
    assert recognise(tmp_path) == "saved_model"


@pytest.mark.parametrize(
    ("members", "words"),
    [(["config.json"], ""), (["a/data.pkl"], "PyTorch pickle"), (["x"], "another zip")],
    ids=["keras", "pickle", "other"],
)
def test_a_zip_is_told_by_its_members(tmp_path, members, words):
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name in members:
            archive.writestr(name, "")

    if not words:
        assert recognise(path) == "keras"
        return
    with pytest.raises(ModelError, match=words):
        recognise(path)


@pytest.mark.parametrize(
    ("name", "words"),
    [("net.weights", "--weights"), ("net.pth", "export it to ONNX"), ("net.xyz", "give one of")],
)
def test_what_is_no_model_says_what_to_give(tmp_path, name, words):
    (tmp_path / name).write_bytes(b"x" * 20)

    with pytest.raises(ModelError, match=words):
        recognise(tmp_path / name)


def test_a_model_of_ours_is_read_as_it_is():
    path = default_model_path()

    file = import_model(path, family=None, origin=Origin(), choice=Choice())

    assert is_ours(path)
    assert file.own_manifest() == model_file.read(path).own_manifest()


def test_a_family_that_there_is_not_is_refused_with_the_list(tmp_path):
    with pytest.raises(ConfigError, match="ssd, yolo, unet"):
        import_model(tmp_path, family="rcnn", origin=Origin("a", "b"), choice=Choice())
