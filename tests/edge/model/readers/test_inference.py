"""A bare file runs where exactly one reading of it fits, and is asked about everywhere else."""

from __future__ import annotations

import json
from dataclasses import replace

import bare_models as bare
import numpy as np
import pytest
import told_files as told
from tflite_files import detector

from converter.graph import reading
from edge import app, cli
from edge.config import toml as toml_file
from edge.errors import ConfigError, ModelError
from edge.model import model_file
from edge.model.default import default_model_path
from edge.model.loaded import load_model
from edge.model.readers.graph import flex_map
from edge.model.readers.inference import Undescribed

pytestmark = pytest.mark.board
ZOO_INPUT = "normalized_input_image_tensor"  # as TensorFlow's own exporter names it: R G B
UINT8 = {"dtype": "uint8", "quant": (1 / 128, 128)}
RED = np.zeros((40, 60, 3), np.uint8)
RED[..., 2] = 200


@pytest.fixture
def read(tmp_path):
    def read(data):
        path = tmp_path / "bare.tflite"
        path.write_bytes(data)
        return model_file.read(path)

    return read


def asked(read, data):
    """Return the keys that a file is asked about."""
    with pytest.raises(Undescribed) as refused:
        read(data)
    return {line.split(" = ")[0].strip() for line in str(refused.value).splitlines()[1:]}


COLOR, MEAN, STD = "[input] color", "[input] mean", "[input] std"
KIND, ACTIVATION, LABELS = "[head] kind", "[head] activation", "[model] labels"


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        pytest.param(bare.classifier(), {COLOR, MEAN, STD}, id="float softmax"),
        pytest.param(bare.classifier(dtype="int8", quant=bare.UNIT), {COLOR}, id="int8 softmax"),
        pytest.param(
            bare.classifier(dtype="int8", quant=(1 / 127.5, 0), name=ZOO_INPUT),
            {MEAN, STD},
            id="int8 with zero at 0 may be symmetric",
        ),
        pytest.param(
            bare.classifier(dtype="int8", quant=(4.76 / 255, -15), name=ZOO_INPUT),
            {MEAN, STD},
            id="int8 over a span that depends on the order of channels",
        ),
        pytest.param(
            bare.classifier("LOGISTIC", **UINT8, name=ZOO_INPUT),
            {KIND},
            id="sigmoids may be a box",
        ),
        pytest.param(
            bare.classifier("", **UINT8, name=ZOO_INPUT),
            {KIND, ACTIVATION},
            id="a vector of anything",
        ),
        pytest.param(
            bare.segmenter("LOGISTIC", **UINT8, name=ZOO_INPUT), {KIND}, id="sigmoids by pixel"
        ),
        pytest.param(bare.segmenter("ABS", **UINT8, name=ZOO_INPUT), {KIND}, id="another image"),
    ],
)
def test_what_may_mean_two_things_is_asked_key_by_key(read, data, keys):
    assert asked(read, data) == keys


def test_a_flattened_mask_is_no_classifier_of_as_many_classes(read):
    make = bare.Bare(**UINT8, name=ZOO_INPUT)
    mask = make.then("LOGISTIC", make.image, "mask", make.shape, bare.fixed_quant("uint8"))
    shape = make.constant(np.int32([1, 192]))
    flat = make.like(mask, "flat", (1, 192))
    make.op("RESHAPE", (mask, shape), (flat,))
    assert KIND in asked(read, make.file(flat))


def test_a_softmax_that_was_transposed_is_no_map_of_its_new_axes(read):
    make = bare.Bare(**UINT8, name=ZOO_INPUT)
    scores = make.then("SOFTMAX", make.image, "scores", make.shape, bare.fixed_quant("uint8"))
    turned = make.like(scores, "turned", (1, 3, 8, 8))
    make.op("TRANSPOSE", (scores, make.constant(np.int32([0, 3, 1, 2]))), (turned,))
    assert KIND in asked(read, make.file(turned))


def test_coarse_softmaxes_may_be_centroids(read):
    make = bare.Bare((1, 16, 16, 3), **UINT8, name=ZOO_INPUT)
    pooled = make.like(make.image, "pooled", (1, 2, 2, 3))
    make.op(
        "AVERAGE_POOL_2D", (make.image,), (pooled,), version=2, padding="VALID",
        strideH=8, strideW=8, filterHeight=8, filterWidth=8,
    )  # fmt: skip
    scores = make.then("SOFTMAX", pooled, "scores", (1, 2, 2, 3), bare.fixed_quant("uint8"))
    assert KIND in asked(read, make.file(scores))


@pytest.mark.parametrize(
    ("dtype", "quant", "mean", "std"),
    [
        pytest.param("uint8", (1 / 128, 128), 128, 128, id="bytes for -1 to 1"),
        pytest.param("uint8", (1 / 255, 0), 0, 255, id="bytes for 0 to 1"),
        pytest.param("uint8", None, 0, 1, id="bytes that the graph takes as they are"),
        pytest.param("int8", (1 / 127.5, -1), 127.5, 127.5, id="int8 for -1 to 1"),
        pytest.param("int8", (1 / 255, -128), 0, 255, id="int8 for 0 to 1"),
        pytest.param("int8", (1.0, -128), 0, 1, id="int8 for 0 to 255"),
        pytest.param("int8", (0.00388, -128), 0, 255, id="int8 calibrated to nearly 1"),
    ],
)
def test_an_input_of_8_bits_tells_its_normalisation(read, dtype, quant, mean, std):
    make = bare.Bare(dtype=dtype, quant=quant, name=ZOO_INPUT)
    axis = make.constant(np.int32([3]))
    ids = make.tensor("ids", make.shape[:3], dtype="int32")
    make.op("ARG_MAX", (make.image, axis), (ids,), version=2, outputType=2)
    file = read(make.file(ids))
    assert (file.read_by, file.description.input.color) == ("inference", "rgb")
    assert set(file.description.input.mean) == {mean}
    assert set(file.description.input.std) == {std}
    assert file.description.labels == ("class 0", "class 1", "class 2")
    assert file.description.head.background is None
    assert (load_model(file)(RED).class_ids == 0).all()


def test_metadata_that_contradicts_an_integer_input_is_asked_about(read):
    data = bare.classifier(dtype="int8", quant=bare.UNIT)
    data = told.with_metadata(data, [told.image(told.RGB, (0.0,), (1.0,))], [told.Table({0: "p"})])
    assert asked(read, data) == {MEAN, STD}


def test_as_many_labels_as_classes_or_a_question(read):
    data = told.with_metadata(
        bare.classifier(**UINT8, name=ZOO_INPUT),
        [told.image(told.RGB, (127.5,), (127.5,))],
        [told.scores("l.txt")],
        files={"l.txt": "red\ngreen\n"},
    )
    assert asked(read, data) == {LABELS}


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        pytest.param((1, 8, 8, 4), "a fourth band .* edge-vision reads grey", id="four bands"),
        pytest.param((1, 4, 8, 8), "a fourth band .* edge-vision reads grey", id="four, first"),
        pytest.param((1, 8, 8, 7), "is no model for one image", id="a spectrum"),
        pytest.param((1, 3, 8, 3), "is no model for one image", id="either layout"),
    ],
)
def test_what_no_camera_can_fill_is_refused(read, shape, found):
    with pytest.raises(ModelError, match=f"expected one input image of 1 or 3.*{found}"):
        read(bare.segmenter("ABS", shape=shape, **UINT8))


def detector_for_bytes(order):
    """Return an SSD behind the op, its outputs in this order; its heads are constants."""
    make = bare.Bare((1, 4, 4, 3), **UINT8)
    make.ops += detector_ops(make)
    return make.file(*order)


def detector_ops(make):
    graph = reading.read(detector(decoded=True), "x")
    make.tensors |= {name: each for name, each in graph.tensors.items() if name != "image"}
    real = make.tensor("real", (1, 4, 4, 3))
    make.op("DEQUANTIZE", (make.image,), (real,))
    return [
        replace(op, inputs=tuple("real" if name == "image" else name for name in op.inputs))
        for op in graph.ops
    ]


TF1 = ("locations", "classes", "confidences", "count")
TF2 = ("confidences", "locations", "count", "classes")


@pytest.mark.parametrize("order", [TF1, TF2], ids=["TensorFlow 1", "TensorFlow 2"])
def test_the_detection_ops_outputs_are_told_by_the_op_and_not_by_their_order(read, order):
    file = read(detector_for_bytes(order))
    described = file.description
    assert described.outputs == dict(zip(("boxes", "classes", "scores", "count"), TF1, strict=True))
    assert (described.input.color, described.head.kind) == ("rgb", "detections")
    assert described.labels == ("class 0", "class 1", "class 2")
    assert len(load_model(file).with_thresholds(score=0.1)(RED))


def test_a_float_detector_behind_the_op_is_asked_for_its_normalisation(read):
    assert asked(read, detector(decoded=True)) == {MEAN, STD}


def test_a_grey_input_has_no_channel_order(read):
    make = bare.Bare((1, 8, 8, 1), **UINT8)
    assert asked(read, make.file(make.then("LOGISTIC", "image", "map", make.shape))) == {KIND}


def test_a_draft_that_was_filled_in_runs(tmp_path, capsys):
    model, written = tmp_path / "bare.tflite", tmp_path / "bare.toml"
    model.write_bytes(bare.classifier())
    assert cli.main(["inspect", str(model)]) == 1
    assert f"edge inspect {model} --draft bare.toml" in capsys.readouterr().err
    assert cli.main(["inspect", str(model), "--draft", str(written)]) == 0
    assert "choose 3 values" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"\[input\] color"):
        model_file.read(model, description=written)
    text = written.read_text()
    for key, value in (("color", '"rgb"'), ("mean", "[0, 0, 0]"), ("std", "[255, 255, 255]")):
        text = text.replace(f'\n{key} = "?"', f"\n{key} = {value}")
    written.write_text(text)
    seen = load_model(model_file.read(model, description=written)).with_thresholds(score=0.1)(RED)
    assert seen.class_ids[0] == 0
    powers = np.exp([200 / 255, 0, 0])
    np.testing.assert_allclose(seen.scores[0], powers[0] / powers.sum(), rtol=1e-6)


def test_a_draft_never_overwrites(tmp_path, capsys):
    (tmp_path / "bare.toml").write_text("mine")
    assert cli.main(["inspect", "--draft", str(tmp_path / "bare.toml")]) == 2
    assert "File exists; give another name" in capsys.readouterr().err


def test_the_draft_of_a_described_model_describes_it_as_well(tmp_path):
    written = tmp_path / "shipped.toml"
    assert cli.main(["inspect", "--draft", str(written)]) == 0
    shipped = model_file.read(default_model_path())
    again = model_file.read(shipped.path, description=written).description
    assert (again.input, again.head, again.labels) == (
        shipped.description.input, shipped.description.head, shipped.description.labels,
    )  # fmt: skip
    np.testing.assert_array_equal(again.anchors, shipped.description.anchors)


def test_no_background_survives_a_draft(tmp_path):
    model, written = tmp_path / "bare.tflite", tmp_path / "bare.toml"
    model.write_bytes(bare.segmenter("ARG_MAX", **UINT8, name=ZOO_INPUT))
    assert cli.main(["inspect", str(model), "--draft", str(written)]) == 0
    assert toml_file.read(written)["head"]["background"] == "none"
    assert model_file.read(model, description=written).description.head.background is None


def test_the_options_of_a_custom_op_are_read_as_numbers():
    from flatbuffers import flexbuffers  # noqa: PLC0415

    options = {"count": 3, "wide": 70_000, "ratio": 0.25, "sharp": True, "name": "left out"}
    del_name = {key: value for key, value in options.items() if key != "name"}
    assert flex_map(bytes(flexbuffers.Dumps(options))) == del_name


def test_damaged_options_give_one_sentence(read):
    data = bytearray(detector(decoded=True))
    at = data.find(b"num_classes\0")
    for position in range(at, at + 200):
        for bit in (0, 4, 7):
            damaged = bytearray(data)
            damaged[min(position, len(data) - 1)] ^= 1 << bit
            with pytest.raises(ModelError):  # never more labels than memory
                read(bytes(damaged))


def test_what_a_file_was_read_by_is_shown_checked_and_logged(tmp_path, capsys, caplog):
    model, config = tmp_path / "bare.tflite", tmp_path / "bare.toml"
    model.write_bytes(told.exported(bare.classifier(), task="classify", names=("r", "g", "b")))
    config.write_text('[model]\nfile = "bare.tflite"\n[camera]\nname = "a"\nsource = "demo:"\n')
    origin = "described by its exporter's metadata: the output is a softmax over 3 classes"
    assert cli.main(["check", str(config)]) == 0
    assert origin in capsys.readouterr().out
    assert cli.main(["inspect", str(model)]) == 0
    shown = capsys.readouterr().out
    assert "described   by its exporter's metadata: the output is a softmax" in shown
    assert cli.main(["inspect", "--json", str(model)]) == 0
    assert json.loads(capsys.readouterr().out)["read_by"] == "its exporter's metadata"
    with caplog.at_level("INFO", "edge"):
        app.read_model(model)
    assert origin in caplog.text


def test_a_command_that_needs_a_manifest_asks_no_questions(tmp_path):
    path = tmp_path / "bare.tflite"
    path.write_bytes(bare.classifier())
    with pytest.raises(ModelError, match=r"expected a model with a manifest.*edge-convert run"):
        model_file.read_own(path)
    assert model_file.read_own(default_model_path()).manifest
