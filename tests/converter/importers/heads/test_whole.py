"""Classifiers and autoencoders of ONNX, as PyTorch exports them, and of Keras."""

from __future__ import annotations

import os
import subprocess
import sys

import onnx
import pytest
from reference import onnx_whole

from converter.choice import Choice, InputChoice
from converter.importers.onnx.importer import import_onnx, told_family, unsaid
from converter.importing import import_draft
from converter.jobs import child
from edge.decode.anomaly import AnomalyHead
from edge.decode.classes import ClassesHead
from edge.errors import ConfigError, ModelError

pytestmark = pytest.mark.converter
KERAS = """
import sys, keras, tensorflow as tf
from keras import layers as L
image = L.Input((32, 32, 3))
x = L.Conv2D(8, 3, strides=2, padding="same", activation="relu")(image)
x = L.BatchNormalization()(L.Conv2D(8, 3, strides=4, padding="same")(x))
pooled = L.GlobalAveragePooling2D()(x)
flat = L.Dense(128, activation="relu")(L.Flatten()(x))
up = L.UpSampling2D(8)(L.Reshape((4, 4, 8))(flat))
for name, output in {
    "classifier": L.Dense(3, activation="softmax")(L.Dropout(0.2)(pooled)),
    "autoencoder": L.Conv2D(3, 3, padding="same", activation="sigmoid")(up),
}.items():
    model = keras.Model(image, output)
    model.save(f"{name}.keras")
    model.save(f"{name}.h5")
    model.export(f"{name}_saved", verbose=False)
"""


@pytest.fixture(scope="module")
def keras_models(tmp_path_factory):
    """Return a folder of a classifier and an autoencoder that Keras has saved."""
    folder = tmp_path_factory.mktemp("keras")
    environment = {**os.environ, **child.QUIET, **child.NO_GPU}
    subprocess.run(
        [sys.executable, "-c", KERAS], env=environment, check=True, capture_output=True, cwd=folder
    )
    return folder


def saved(proto, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def test_an_onnx_classifier_is_told_by_its_softmax(tmp_path):
    path = saved(onnx_whole.classifier(), tmp_path)
    draft = import_onnx(path, family=None, choice=Choice())

    assert draft.head == ClassesHead(activation="softmax")
    assert draft.graph.shape("scores") == (1, 5)
    assert "import checked against onnxruntime" in draft.changes


def test_an_onnx_classifier_of_raw_scores_is_asked_for_its_family_and_activation(tmp_path):
    path = saved(onnx_whole.classifier(last=None), tmp_path)

    assert told_family(path)[0] is None
    with pytest.raises(ConfigError, match="--activation softmax"):
        import_onnx(path, family="classifier", choice=Choice())
    draft = import_onnx(path, family="classifier", choice=Choice(activation="sigmoid"))
    assert draft.head == ClassesHead(activation="sigmoid")


def exported(tmp_path, **facts):
    proto = onnx_whole.classifier()
    names = dict(enumerate(("ant", "bee", "cat", "dog", "emu")))
    onnx.helper.set_model_props(proto, {"names": str(names), "stride": "32"} | facts)
    return saved(proto, tmp_path)


def test_what_ultralytics_writes_beside_a_classifier_is_all_of_its_preprocessing(tmp_path):
    path = exported(tmp_path, task="classify", imgsz="[64, 64]")
    draft = import_onnx(path, family=None, choice=Choice())

    assert draft.labels == ("ant", "bee", "cat", "dog", "emu")
    assert draft.transform == InputChoice(
        color="rgb", mean=(0, 0, 0), std=(255, 255, 255), resize="stretch"
    )
    assert unsaid(path, family="classifier") == ()


def test_yolov5_writes_no_task_so_a_classifier_of_its_is_asked_for_its_preprocessing(tmp_path):
    path = exported(tmp_path)
    draft = import_onnx(path, family=None, choice=Choice())

    assert draft.labels == ("ant", "bee", "cat", "dog", "emu")
    assert draft.transform is None
    assert unsaid(path, family="classifier") == ("color", "mean", "resize")


def test_a_hostile_literal_beside_a_model_is_one_sentence_before_its_import(tmp_path):
    path = exported(tmp_path, task="classify", names="1+" * 100_000 + "1")

    for read in (unsaid, lambda path, family: import_onnx(path, family=family, choice=Choice())):
        with pytest.raises(ModelError, match=r"over 16384 of .*; export it again"):
            read(path, family="classifier")


def test_an_onnx_autoencoder_gives_its_image_back_channels_last(tmp_path):
    draft = import_onnx(saved(onnx_whole.autoencoder(), tmp_path), family=None, choice=Choice())

    assert isinstance(draft.head, AnomalyHead)
    assert draft.graph.shape("reconstruction") == draft.graph.shape("input") == (1, 64, 64, 3)
    assert "import checked against onnxruntime" in draft.changes


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".keras", ".h5", "_saved"])
@pytest.mark.parametrize(
    ("name", "kind", "role"),
    [("classifier", "classes", "scores"), ("autoencoder", "anomaly", "reconstruction")],
)
def test_keras_models_are_told_by_their_structure(keras_models, name, kind, role, suffix):
    draft = import_draft(keras_models / f"{name}{suffix}", family=None, choice=Choice())

    assert draft.head.kind == kind
    assert draft.graph.outputs == (role,)
    assert "import checked against" in draft.changes
