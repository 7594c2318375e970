"""What can be known before the import is known, and what must be asked for is asked for at once."""

from __future__ import annotations

import pytest
from float_tflite_models import FloatModel
from tflite_files import detector

from converter.choice import Choice, InputChoice, Origin
from converter.importers.tensorflow.ssd_graph import DECODE
from converter.importing import ask
from edge.errors import ConfigError
from edge.model.default import default_model_path

pytestmark = pytest.mark.converter

CFG = """[net]
width=32
height=32
channels=3
[convolutional]
filters={filters}
size=1
stride=1
pad=1
activation=linear
[yolo]
mask=0
anchors=10,10
classes={classes}
num=1
"""


def segmenter():
    model = FloatModel((1, 8, 8, 3))
    for kind in ("TANH", "SOFTMAX"):
        model.then(kind, (model.last,), (1, 8, 8, 3))
    return model.flatbuffer()


def asked(path, *, family=None, labels=None, **choice):
    return ask(path, family=family, origin=Origin(labels=labels), choice=Choice(**choice))


def written(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize(
    ("name", "data", "family"),
    [
        ("model.json", f'{{"name": "{DECODE}/x"}}', "ssd"),
        ("graph.pb", DECODE, "ssd"),
        ("model.tflite", detector(decoded=True), "ssd"),
        ("map.tflite", segmenter(), "unet"),
        ("net.cfg", CFG.format(filters=85, classes=80), "yolo"),
    ],
)
def test_a_file_that_tells_its_family_need_not_be_told(tmp_path, name, data, family):
    assert asked(written(tmp_path / name, data)) == family


def test_a_saved_model_of_the_object_detection_api_is_an_ssd(tmp_path):
    written(tmp_path / "saved_model.pb", DECODE)

    assert asked(tmp_path) == "ssd"


def test_a_family_that_nobody_says_is_asked_for_and_never_guessed(tmp_path):
    path = written(tmp_path / "m.tflite", detector(decoded=False))

    with pytest.raises(ConfigError, match=r"--family ssd .*--family yolo .*--family unet"):
        asked(path)


@pytest.mark.parametrize(
    ("name", "data"),
    [("m.h5", b"\x89HDF" + bytes(16)), ("m.json", b"{}"), ("m.pb", bytes(16))],
)
def test_a_file_that_only_its_import_tells_the_family_of_is_not_asked_for_it(tmp_path, name, data):
    path = written(tmp_path / name, data)

    assert asked(path, input=InputChoice(resize="stretch")) is None


def test_a_model_of_ours_is_asked_for_nothing_and_has_no_use_for_what_only_importers_take():
    assert asked(default_model_path()) is None
    with pytest.raises(ConfigError, match="model of ours has no use for --anchors, --size"):
        asked(default_model_path(), anchors="1,2", input=InputChoice(size_wh=(8, 8)))


def test_how_images_are_fitted_stands_in_no_keras_file_and_is_asked_before_the_work(tmp_path):
    path = written(tmp_path / "m.h5", b"\x89HDF" + bytes(16))

    with pytest.raises(ConfigError, match="unless the graph does so itself") as caught:
        asked(path, family="unet")
    assert all(option in str(caught.value) for option in ("--input", "--range", "--resize"))
    assert asked(path, family="unet", input=InputChoice(resize="stretch")) == "unet"


def test_labels_of_a_classifier_stand_in_no_keras_file_and_are_asked_before_the_work(tmp_path):
    path = written(tmp_path / "m.h5", b"\x89HDF" + bytes(16))
    said = {"family": "classifier", "input": InputChoice(resize="stretch")}

    with pytest.raises(ConfigError, match="--labels FILE"):
        asked(path, **said)
    assert asked(path, labels=("a", "b"), **said) == "classifier"


def test_labels_that_a_cfg_cannot_have_are_asked_before_the_weights_are_read(tmp_path):
    path = written(tmp_path / "net.cfg", CFG.format(filters=7, classes=2))

    with pytest.raises(ConfigError, match="--labels FILE"):
        asked(path)
    assert asked(path, labels=("a", "b")) == "yolo"


@pytest.mark.parametrize(
    ("name", "choice", "option"),
    [
        ("m.h5", {"weights": "w"}, "--weights"),
        ("net.cfg", {"anchors": "1,2"}, "--anchors"),
        ("net.cfg", {"box_scales": (1, 1, 1, 1)}, "--box-scales"),
        ("m.tflite", {"input": InputChoice(size_wh=(8, 8))}, "--size"),
    ],
)
def test_an_option_that_a_file_has_no_use_for_is_refused(tmp_path, name, choice, option):
    data = {"m.tflite": segmenter(), "m.h5": b"\x89HDF" + bytes(16), "net.cfg": "[net]"}[name]

    with pytest.raises(ConfigError, match=f"has no use for {option}; leave it out"):
        asked(written(tmp_path / name, data), family="yolo", **choice)
