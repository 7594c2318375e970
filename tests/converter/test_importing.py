"""A model's format is told by what the file holds, and only then by its name."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
from darknet_files import write_darknet
from drawn_nets import Net
from reference import onnx_models
from tflite_files import grid

from converter.choice import Choice, InputChoice, Origin
from converter.graph.reading import read
from converter.graph.writing import write
from converter.importers.onnx import file as onnx_file
from converter.importing import READERS, SUFFIXES, import_model, is_ours, recognise
from edge.errors import ConfigError, ModelError
from edge.model import model_file
from edge.model.backends.litert import open_interpreter
from edge.model.default import default_model_path

pytestmark = pytest.mark.converter


@pytest.mark.parametrize(
    ("name", "data", "form"),
    [
        ("model.json", b"{}", "tfjs"),
        ("net.cfg", b"[net]", "darknet"),
        ("graph.PB", b"\n" * 16, "frozen"),
        ("misnamed.pb", b"\x89HDF\r\n" + bytes(16), "h5"),
        ("misnamed.h5", grid(), "tflite"),
        ("net.onnx", b"\x08" * 16, "onnx"),
    ],
)
def test_the_format_is_recognised(tmp_path, name, data, form):
    (tmp_path / name).write_bytes(data)

    assert recognise(tmp_path / name) == form
    assert form in READERS


LOOKALIKES = {
    "a pointer": ("a.onnx", b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
    "a pickle": ("a.h5", b"\x80\x04\x95" + bytes(20), "pickle, which runs code"),
    "a web page": ("a.pb", b"\n<!DOCTYPE html><html>", "a web page"),
    "two bytes": ("a.onnx", b"ab", "found 2 bytes"),
    "no HDF5": ("a.h5", b"CDF\1" + bytes(20), r"expected an HDF5 file.*found 24 bytes.*CDF"),
}


@pytest.mark.parametrize(("name", "data", "words"), LOOKALIKES.values(), ids=LOOKALIKES)
def test_what_only_looks_like_a_model_is_named(tmp_path, name, data, words):
    (tmp_path / name).write_bytes(data)

    with pytest.raises(ModelError, match=words):
        recognise(tmp_path / name)


def test_a_pointer_among_the_weights_of_a_saved_model_is_named(tmp_path):
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(bytes(20))
    (tmp_path / "variables" / "variables.index").write_bytes(b"version https://git-lfs.github")

    with pytest.raises(ModelError, match=r"variables\.index.*git lfs pull"):
        recognise(tmp_path)


def test_a_missing_file_is_compared_with_what_is_there(tmp_path):
    (tmp_path / "net_saved").mkdir()

    with pytest.raises(ModelError, match=r"net\.pb: no such file; did you mean net_saved\?"):
        recognise(tmp_path / "net.pb")


def test_every_suffix_has_a_reader():
    assert set(SUFFIXES.values()) <= READERS.keys()


def test_a_folder_is_a_saved_model_or_nothing(tmp_path):
    with pytest.raises(ModelError, match=r"without saved_model\.pb"):
        recognise(tmp_path)
    (tmp_path / "saved_model.pb").touch()
    assert recognise(tmp_path) == "saved_model"


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (["config.json"], ""),
        (["a/data.pkl"], "PyTorch pickle"),
        (["x"], "a zip with x"),
        (["model.weights.h5"], "weights only"),
    ],
    ids=["keras", "pickle", "other", "weights"],
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


def test_one_run_parses_an_onnx_file_once(monkeypatch, tmp_path):
    parsed = []
    read = onnx_file.read
    monkeypatch.setattr(onnx_file, "read", lambda *given: parsed.append(given) or read(*given))
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_models.yolov8().SerializeToString())

    import_model(path, family=None, origin=Origin(), choice=Choice())

    assert len(parsed) == 1


def test_a_grey_model_is_asked_for_no_colours_and_gives_the_originals_heads(tmp_path):
    proto = onnx_models.unet(channels=1)
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    image = np.random.default_rng(5).random((1, 1, 64, 64), np.float32)
    said = InputChoice(mean=(0, 0, 0), std=(255, 255, 255), resize="stretch")

    file = import_model(path, family=None, origin=Origin(), choice=Choice(input=said))
    runtime = open_interpreter(file.flatbuffer, path, threads=1)
    runtime.set_tensor(runtime.get_input_details()[0]["index"], image.transpose(0, 2, 3, 1))
    runtime.invoke()
    found = runtime.get_tensor(runtime.get_output_details()[0]["index"])
    (expected,) = onnx_models.run_values(proto, [proto.graph.node[-1].input[0]], image)

    assert file.description.input.color == "grey"
    assert file.description.input.shape == (1, 64, 64, 1)
    assert np.abs(found - expected).max() <= 1e-3 * np.ptp(expected)


def test_a_segmenter_that_makes_its_map_large_before_its_head_does_so_behind_it(tmp_path):
    net = Net()
    graph = net.close(net.builder.resize("RESIZE_BILINEAR", net.conv("image", 16), (32, 24)))
    path = tmp_path / "net.tflite"
    path.write_bytes(write(graph))
    said = InputChoice(color="rgb", mean=(0, 0, 0), std=(255, 255, 255), resize="stretch")

    origin = Origin(labels=tuple("abcde"))
    file = import_model(path, family="unet", origin=origin, choice=Choice(input=said))

    made = read(file.flatbuffer, path)
    assert [op.kind for op in made.ops] == ["CONV_2D", "CONV_2D", "RESIZE_BILINEAR"]
    assert made.outputs == ("classes",)


def test_a_grey_darknet_network_is_asked_for_no_colours(tmp_path):
    cfg = write_darknet(tmp_path, "v3")
    cfg.write_text(cfg.read_text().replace("channels=3", "channels=1"))
    weights = cfg.with_suffix(".weights")
    data = weights.read_bytes()
    # Of the first 4 filters of 3 x 3, behind the header and 4 rows of 4, two channels are gone.
    weights.write_bytes(data[: 20 + 4 * 16] + data[20 + 4 * 16 + 4 * 4 * 9 * 2 :])
    origin = Origin(labels=("a", "b", "c"))
    choice = Choice(input=InputChoice(resize="stretch"))

    file = import_model(cfg, family=None, origin=origin, choice=choice)

    runtime = open_interpreter(file.flatbuffer, cfg, threads=1)
    shape = tuple(runtime.get_input_details()[0]["shape"])
    assert file.description.input.color == "grey"
    assert shape == file.description.input.shape == (1, 48, 64, 1)


def test_a_family_that_there_is_not_is_refused_with_the_list(tmp_path):
    with pytest.raises(ConfigError, match=r"one of ssd, yolo, .*unet"):
        import_model(tmp_path, family="rcnn", origin=Origin("a", "b"), choice=Choice())
