"""ONNX files: the heads that onnxruntime computes, whatever layout and decode they came with."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import numpy as np
import onnx
import pytest
from damaged_files import damaged
from reference import onnx_models

from converter.choice import Choice
from converter.graph.writing import write
from converter.importers.onnx import arithmetic as onnx_arithmetic
from converter.importers.onnx.importer import import_onnx, read_graph, refuse_unread, told_family
from edge.errors import EdgeError, ModelError
from edge.model.backends.litert import open_interpreter

pytestmark = pytest.mark.converter

FUZZED = 200
MAX_ERROR = 1e-3  # of a head's range
SOMEWHERE = Path("model.onnx")


def saved(proto, tmp_path, name="model.onnx"):
    path = tmp_path / name
    path.write_bytes(proto.SerializeToString())
    return path


def imported(proto, tmp_path, *, family=None, choice=None):
    path = saved(proto, tmp_path)
    return import_onnx(path, family=family, choice=choice or Choice())


def imported_heads(flatbuffer, image):
    runtime = open_interpreter(flatbuffer, SOMEWHERE, threads=1)
    runtime.set_tensor(runtime.get_input_details()[0]["index"], image.transpose(0, 2, 3, 1))
    runtime.invoke()
    return {row["name"]: runtime.get_tensor(row["index"]) for row in runtime.get_output_details()}


MODELS = {
    "yolov8": (onnx_models.yolov8, "yolo"),
    "yolov5": (onnx_models.yolov5, "yolo"),
    "yolox": (onnx_models.yolox, "yolo"),
    "unet": (onnx_models.unet, "unet"),
}


@pytest.fixture(scope="module")
def drafts(tmp_path_factory):
    """Return each model's import, made on first use."""
    folder = tmp_path_factory.mktemp("onnx")

    @functools.cache
    def draft_of(name):
        make, family = MODELS[name]
        return import_onnx(saved(make(), folder, f"{name}.onnx"), family=family, choice=Choice())

    return draft_of


@pytest.mark.parametrize("name", MODELS)
def test_the_manifest_says_that_onnxruntime_gives_the_same_heads(name, drafts):
    clause = drafts(name).changes.rpartition("; ")[2]

    assert clause.startswith("import checked against onnxruntime ")
    assert float(clause.rpartition(" of each")[0].rpartition(" ")[2]) <= MAX_ERROR


NORMALISED = {  # what the graph subtracts and divides by
    "pixels": ((116, 117, 118), (57, 58, 59)),
    "numbers in 0..1": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


@pytest.mark.parametrize(("mean", "std"), NORMALISED.values(), ids=NORMALISED)
def test_a_files_own_normalisation_is_taken_out_and_checked_on_its_own_image(mean, std, tmp_path):
    net = onnx_models.OnnxWriter()
    laid = [net.constant(np.reshape(values, (1, 3, 1, 1))) for values in (mean, std)]
    image = net.op("Div", net.op("Sub", "image", laid[0]), laid[1])
    scores = net.conv(net.op("Relu", net.conv(image, 3, 8, kernel=3)), 8, 1)

    draft = imported(net.model([net.op("Sigmoid", scores)]), tmp_path, family="unet")

    own = draft.transform
    found = own.after or (own.mean, own.std)
    np.testing.assert_allclose(found, (mean, std), rtol=1e-5)
    assert "import checked against onnxruntime" in draft.changes
    assert [op.kind for op in draft.graph.ops] == ["CONV_2D", "CONV_2D"]


def test_the_heads_are_those_of_the_original(drafts):
    proto = onnx_models.unet()
    image = np.random.default_rng(5).random((1, 3, 64, 64), np.float32)

    (found,) = imported_heads(write(drafts("unet").graph), image).values()
    (expected,) = onnx_models.run_values(proto, [proto.graph.node[-1].input[0]], image)

    assert np.abs(found - expected).max() <= MAX_ERROR * np.ptp(expected)


def test_a_model_that_is_read_wrongly_is_refused(monkeypatch, tmp_path):
    monkeypatch.setitem(onnx_arithmetic.UNARY, "Relu", "ABS")

    with pytest.raises(ModelError, match="'classes' off by"):
        imported(onnx_models.unet(), tmp_path, family="unet")


def test_without_onnxruntime_the_manifest_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", {}.get)

    changes = imported(onnx_models.unet(), tmp_path, family="unet").changes

    assert "import not checked, as onnxruntime is not installed" in changes


def test_half_precision_is_read_as_float32_and_not_called_checked(tmp_path):
    proto = onnx_models.unet()
    proto.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    for tensor in proto.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and list(tensor.dims) != [4]:  # scales
            half = onnx.numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(onnx.numpy_helper.from_array(half, tensor.name))
    image = np.random.default_rng(5).random((1, 3, 64, 64), np.float32)
    original = onnx_models.unet()

    draft = imported(proto, tmp_path, family="unet")
    (found,) = imported_heads(write(draft.graph), image).values()
    (expected,) = onnx_models.run_values(original, [original.graph.node[-1].input[0]], image)

    assert "import not checked, as the original does not compute in float32" in draft.changes
    assert np.abs(found - expected).max() <= 0.01 * np.ptp(expected)


def of_bytes(proto):
    proto.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    return proto


def test_a_distribution_head_knows_its_bins_strides_and_labels(drafts):
    draft = drafts("yolov8")

    assert (draft.head.boxes, draft.head.bins) == ("distribution", 16)
    assert [grid.stride_px for grid in draft.head.grids] == [8, 16]
    assert draft.labels == ("thing 0", "thing 1", "thing 2")
    assert (draft.transform.color, draft.transform.std[0]) == ("rgb", 255)
    assert draft.transform.resize == "letterbox"


def test_anchors_are_found_in_the_decode_and_each_part_of_a_grid_is_an_output(drafts):
    draft = drafts("yolov5")

    assert (draft.head.sides, draft.head.grids[0].scale_xy) == ("square", 2.0)
    assert [grid.anchors_px for grid in draft.head.grids] == list(onnx_models.ANCHORS_PX.values())
    assert list(draft.graph.outputs)[:3] == ["boxes0", "objectness0", "scores0"]


def test_the_branches_of_yolox_are_told_apart_with_one_class_too(drafts):
    draft = drafts("yolox")

    assert draft.head.boxes == "center_exp"
    assert set(draft.graph.outputs) >= {"boxes0", "objectness0", "scores0"}


@pytest.mark.parametrize(
    ("classes", "last", "activation"),
    [(1, "Sigmoid", "sigmoid"), (4, "Softmax", "softmax"), (4, "ArgMax", "softmax")],
)
def test_a_segmenter_is_cut_before_its_last_activation(classes, last, activation, tmp_path):
    draft = imported(onnx_models.unet(classes=classes, last=last), tmp_path)

    assert draft.head.activation == activation
    assert list(draft.graph.outputs) == ["classes"]


@pytest.mark.parametrize("name", MODELS)
def test_the_structure_tells_the_family(name, tmp_path):
    make, family = MODELS[name]

    assert told_family(saved(make(), tmp_path))[0] == family


def test_an_unknown_operation_behind_the_heads_does_no_harm(tmp_path):
    proto = onnx_models.yolov8()
    (output,) = proto.graph.output
    chosen = onnx.helper.make_node("Hardmax", [output.name], ["chosen"])
    proto.graph.node.append(chosen)
    output.name = "chosen"

    assert imported(proto, tmp_path, family="yolo").head.bins == 16


def test_a_file_without_metadata_says_nothing_of_preprocessing_or_labels(drafts):
    draft = drafts("unet")

    assert draft.transform is None
    assert draft.labels is None


@pytest.mark.parametrize("channels", [2, 4])
def test_other_images_than_the_runtime_makes_are_refused_with_their_channels(channels, tmp_path):
    proto = onnx_models.unet()
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value = channels

    with pytest.raises(ModelError, match=f"channels, found {channels}"):
        imported(proto, tmp_path, family="unet")


def without_weights(proto):
    tensor = proto.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, "weights.bin")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    return proto


def with_custom_op(proto):
    proto.graph.node[0].domain = "com.example"
    return proto


def quantized(proto):
    proto.graph.node[0].op_type = "QLinearConv"
    return proto


def with_free_size(proto):
    proto.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    return proto


def with_unknown_op(proto):
    proto.graph.node[1].op_type = "Erf"
    return proto


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (without_weights, "expected the weights inside the file"),
        (with_custom_op, "com.example"),
        (quantized, "expected a float model, found QLinearConv"),
        (with_free_size, r"found \(1, 3, height, 64\)"),
        (with_unknown_op, "found Erf"),
        (of_bytes, "an input of floats, found type 2"),
    ],
)
def test_what_cannot_be_imported_is_named(change, sentence, tmp_path):
    with pytest.raises(ModelError, match=sentence):
        imported(change(onnx_models.unet()), tmp_path, family="unet")


OTHERS = {
    "detector as segmenter": (onnx_models.yolov8, "unet", "expected class scores"),
    "segmenter as detector": (onnx_models.unet, "yolo", "expected the decode of YOLO"),
    "yolo as ssd": (onnx_models.yolox, "ssd", "expected raw boxes"),
}


@pytest.mark.parametrize(("make", "family", "sentence"), OTHERS.values(), ids=OTHERS)
def test_a_model_given_for_one_of_another_family_is_refused(make, family, sentence, tmp_path):
    with pytest.raises(ModelError, match=sentence):
        imported(make(), tmp_path, family=family)


@pytest.mark.parametrize("make", [onnx_models.yolov8, onnx_models.yolov5], ids=["v8", "v5"])
def test_damaged_files_give_a_graph_or_one_sentence(make, tmp_path):
    data = make().SerializeToString()
    path = tmp_path / "damaged.onnx"
    refused = []
    for number in range(FUZZED):
        path.write_bytes(damaged(data, number))
        try:
            refuse_unread(read_graph(path)[1], path)
        except EdgeError as error:
            refused.append(str(error))
    assert len(refused) > FUZZED / 2
    assert not [sentence for sentence in refused if "\n" in sentence]
