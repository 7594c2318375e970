"""Inputs and outputs of every layout and type that files of other tools have."""

from __future__ import annotations

import bare_models as bare
import factories
import numpy as np
import pytest
import told_files as told

from edge.errors import ModelError
from edge.model import model_file, trial
from edge.model.default import default_model_path
from edge.model.loaded import load_model

pytestmark = pytest.mark.board
TOML = """
[model]
name = "m"
labels = ["a", "b", "c"]
[input]
size_wh = [8, 8]
color = "rgb"
mean = [0, 0, 0]
std = [255, 255, 255]
resize = "stretch"
[outputs]
{outputs}
[head]
{head}
"""
SCORES = {"outputs": 'scores = "scores"', "head": 'kind = "classes"\nactivation = "none"'}
COLOURED = np.full((8, 8, 3), (51, 102, 204), np.uint8)  # B G R


def read(tmp_path, data, text=None):
    path = tmp_path / "m.tflite"
    path.write_bytes(data)
    if text is None:
        return model_file.read(path)
    written = tmp_path / "m.toml"
    written.write_text(text)
    return model_file.read(path, description=written)


def seen_scores(file):
    seen = load_model(file).with_thresholds(score=0.01)(COLOURED)
    return dict(zip(seen.class_ids.tolist(), seen.scores.tolist(), strict=True))


@pytest.mark.parametrize(
    ("dtype", "quant"),
    [
        pytest.param("uint8", (1 / 255, 0), id="u8"),
        pytest.param("int8", (1 / 255, -128), id="i8"),
        pytest.param("int16", (1 / 32767, 0), id="i16"),
        pytest.param("float16", None, id="f16"),
        pytest.param("float32", None, id="f32"),
    ],
)
def test_every_type_goes_in_and_comes_out(tmp_path, dtype, quant):
    make = bare.Bare((1, 1, 1, 3), dtype=dtype, quant=quant)
    shape = make.constant(np.int32([1, 3]))
    make.op("RESHAPE", (make.image, shape), (make.like(make.image, "scores", (1, 3)),))
    text = TOML.format(**SCORES).replace("[8, 8]", "[1, 1]")
    found = seen_scores(read(tmp_path, make.file("scores"), text))
    assert found == pytest.approx({0: 0.8, 1: 0.4, 2: 0.2}, abs=1 / 255)


def test_channels_may_come_first(tmp_path):
    make = bare.Bare((1, 3, 8, 8))
    axes = make.constant(np.int32([2, 3]))
    make.op("MEAN", (make.image, axes), (make.like(make.image, "scores", (1, 3)),))
    data = make.file("scores")
    described = seen_scores(read(tmp_path, data, TOML.format(**SCORES)))
    exported = told.exported(data, task="classify", names=("a", "b", "c"))
    assert described == seen_scores(read(tmp_path, exported))
    assert described == pytest.approx({0: 0.8, 1: 0.4, 2: 0.2})


def test_an_open_batch_is_one(tmp_path):
    data = bare.with_open_input(bare.classifier(), (-1, 8, 8, 3), stored=(1, 8, 8, 3))
    file = read(tmp_path, told.exported(data, task="classify", names=("a", "b", "c")))
    assert load_model(file).spec.input.shape == (1, 8, 8, 3)


@pytest.mark.parametrize("size_wh", [(8, 8), (12, 6)], ids=["as made", "another"])
def test_open_sides_are_what_the_description_says(tmp_path, size_wh):
    data = bare.with_open_input(bare.classifier(), (-1, -1, -1, 3))
    width, height = size_wh
    names = ("a", "b", "c")
    file = read(tmp_path, told.exported(data, task="classify", names=names, imgsz=[height, width]))
    trial.admit(file, state_folder=None)
    assert load_model(file).spec.input.shape == (1, height, width, 3)
    assert len(seen_scores(file)) == 3


def test_open_sides_that_nothing_tells_are_asked(tmp_path):
    data = bare.with_open_input(bare.classifier(), (1, -1, -1, 3))
    with pytest.raises(ModelError, match=r"\[input\] size_wh = \[width, height\]"):
        read(tmp_path, data)


def test_a_shape_that_only_running_tells_is_known_after_loading(tmp_path):
    make = bare.Bare()
    make.op("SHAPE", (make.image,), (make.tensor("sides", (4,), dtype="int32"),), outType=2)
    make.op("RESHAPE", (make.image, "sides"), (make.tensor("map", ()),))
    head = {"outputs": 'classes = "map"', "head": 'kind = "segmentation"\nactivation = "softmax"'}
    file = read(tmp_path, make.file("map"), TOML.format(**head))
    assert load_model(file).spec.outputs["classes"].shape == (1, 8, 8, 3)


def test_rows_whose_number_changes_end_the_run_with_a_sentence(tmp_path):
    make = bare.Bare()
    limit = make.constant(np.float32([0.5]))
    bright = make.tensor("bright", make.shape, dtype="bool")
    make.op("GREATER", (make.image, limit), (bright,))
    places = make.tensor("places", (), dtype="int64")
    make.op("WHERE", (bright,), (places,))
    numbers = make.tensor("numbers", (), dtype="float32")
    make.op("CAST", (places,), (numbers,), inDataType=4, outDataType=0)
    head = {"outputs": 'boxes = "numbers"\nscores = "numbers"', "head": 'kind = "ssd"'}
    file = read(tmp_path, make.file(numbers), TOML.format(**head))
    with pytest.raises(ModelError, match=r"output boxes is \(\d+, 4\), but"):
        load_model(file)


def test_an_output_that_changes_its_shape_is_never_copied_into_another():
    model = load_model(model_file.read(default_model_path()))
    spec, tensor = model.spec, np.zeros(model.spec.input.shape, model.spec.input.dtype)
    out = {role: np.zeros((4, 4), output.dtype) for role, output in spec.outputs.items()}
    with pytest.raises(ModelError, match=r"was \(4, 4\), and of this frame \(1, .*: expected one"):
        model._backend.invoke(tensor, spec, out=out)


def test_an_anomaly_head_compares_with_the_channels_last(tmp_path):
    make = bare.Bare((1, 3, 8, 8))
    make.then("ABS", make.image, "again", (1, 3, 8, 8))
    head = {"outputs": 'reconstruction = "again"', "head": 'kind = "anomaly"\nthreshold = 0.1'}
    text = TOML.format(**head).replace('["a", "b", "c"]', "[]")
    with pytest.raises(
        ModelError, match=r"reconstruction is \(1, 3, 8, 8\), but the input .* need \(1, 8, 8, 3\)"
    ):
        load_model(read(tmp_path, make.file("again"), text))


def test_both_layouts_fit_one_description():
    assert factories.input_transform(size_wh=(4, 2)).shapes == ((1, 2, 4, 3), (1, 3, 2, 4))
