"""ONNX files: the heads that onnxruntime computes, whatever layout and decode they came with."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import onnx
import pytest
from reference import onnx_models

from converter.importers import onnx_file
from converter.importers.onnx import import_onnx, read_cut
from converter.importers.onnx_heads import find_segmentation, find_yolo
from edge.errors import ConfigError, EdgeError, ModelError
from edge.model.backends.litert import open_interpreter

pytestmark = pytest.mark.converter

FUZZED = 200
MAX_ERROR = 1e-3  # of a head's range
SOMEWHERE = Path("model.onnx")


def saved(proto, tmp_path, name="model.onnx"):
    path = tmp_path / name
    path.write_bytes(proto.SerializeToString())
    return path


def heads_found(proto, tmp_path, *, find=find_yolo):
    path = saved(proto, tmp_path)
    return find(onnx_file.read(path), path)


def imported_heads(draft, image):
    runtime = open_interpreter(draft.flatbuffer, SOMEWHERE, threads=1)
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
    """Return each model's import, made on first use: TensorFlow takes some seconds for each."""
    folder = tmp_path_factory.mktemp("onnx")

    @functools.cache
    def draft_of(name):
        make, family = MODELS[name]
        return import_onnx(saved(make(), folder, f"{name}.onnx"), family=family)

    return draft_of


@pytest.mark.parametrize("name", MODELS)
def test_the_imported_heads_are_those_of_the_original(name, drafts, tmp_path):
    draft = drafts(name)
    make, family = MODELS[name]
    proto = make()
    find = find_yolo if family == "yolo" else find_segmentation
    fetches = heads_found(proto, tmp_path, find=find).fetches
    image = np.random.default_rng(5).random((1, 3, 64, 64), np.float32)

    heads = imported_heads(draft, image)
    expected = onnx_models.run_values(proto, fetches.values(), image)

    assert heads.keys() == fetches.keys()
    for role, original in zip(fetches, expected, strict=True):
        assert np.ptp(original) > 0
        assert np.abs(heads[role] - original).max() <= MAX_ERROR * np.ptp(original)


def test_a_distribution_head_knows_its_bins_strides_and_labels(drafts):
    draft = drafts("yolov8")

    assert (draft.head.boxes, draft.head.bins) == ("distribution", 16)
    assert [grid.stride_px for grid in draft.head.grids] == [8, 16]
    assert draft.labels == ("thing 0", "thing 1", "thing 2")
    assert (draft.transform.color, draft.transform.std[0]) == ("rgb", 255)
    assert draft.transform.resize == "letterbox"


def test_anchors_are_found_in_the_constants_of_the_decode(tmp_path):
    head = heads_found(onnx_models.yolov5(), tmp_path).head

    assert (head.sides, head.grids[0].scale_xy) == ("square", 2.0)
    assert [grid.anchors_px for grid in head.grids] == list(onnx_models.ANCHORS_PX.values())


def test_the_branches_of_yolox_are_told_apart_by_their_place_with_one_class_too(tmp_path):
    proto = onnx_models.yolox(classes=1)
    found = heads_found(proto, tmp_path)
    joined = next(node for node in proto.graph.node if node.op_type == "Concat")
    sigmoids = {node.output[0]: node.input[0] for node in proto.graph.node
                if node.op_type == "Sigmoid"}  # fmt: skip

    assert found.head.boxes == "center_exp"
    assert [found.fetches[f"{part}0"] for part in ("boxes", "objectness", "scores")] == [
        sigmoids.get(name, name) for name in joined.input
    ]


@pytest.mark.parametrize(
    ("classes", "last", "activation"),
    [(1, "Sigmoid", "sigmoid"), (4, "Softmax", "softmax"), (4, "ArgMax", "softmax")],
)
def test_a_segmenter_is_cut_before_its_last_activation(classes, last, activation, tmp_path):
    proto = onnx_models.unet(classes=classes, last=last)
    found = heads_found(proto, tmp_path, find=find_segmentation)

    assert found.head.activation == activation
    assert found.fetches["classes"] == proto.graph.node[-1].input[0]


def test_a_file_without_metadata_says_nothing_of_preprocessing_or_labels(drafts):
    draft = drafts("unet")

    assert draft.transform is None
    assert draft.labels is None


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
    ],
    ids=["external weights", "custom op", "quantised", "free size", "unknown op"],
)
def test_what_cannot_be_imported_is_named(change, sentence, tmp_path):
    path = saved(change(onnx_models.unet()), tmp_path)

    with pytest.raises(ModelError, match=sentence):
        import_onnx(path, family="unet")


def test_a_detector_given_for_a_segmenter_is_refused(tmp_path):
    with pytest.raises(ModelError, match="expected an output"):
        import_onnx(saved(onnx_models.yolov8(), tmp_path), family="unet")


def test_a_segmenter_given_for_a_detector_is_refused(tmp_path):
    with pytest.raises(ModelError, match="expected anchors"):
        import_onnx(saved(onnx_models.unet(), tmp_path), family="yolo")


def test_a_family_without_an_importer_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="--family yolo or unet"):
        import_onnx(saved(onnx_models.yolox(), tmp_path), family="ssd")


def damaged(data, number):
    random = np.random.default_rng(number)
    if number % 2:
        return data[: int(random.integers(0, len(data)))]
    flipped = bytearray(data)
    for place in random.integers(0, len(data), 3):
        flipped[place] ^= 1 << int(random.integers(0, 8))
    return bytes(flipped)


@pytest.mark.parametrize("make", [onnx_models.yolov8, onnx_models.yolov5], ids=["v8", "v5"])
def test_damaged_files_give_a_graph_or_one_sentence(make, tmp_path):
    data = make().SerializeToString()
    path = tmp_path / "damaged.onnx"
    refused = []
    for number in range(FUZZED):
        path.write_bytes(damaged(data, number))
        try:
            read_cut(path, family="yolo")
        except EdgeError as error:
            refused.append(str(error))
    assert len(refused) > FUZZED / 2
    assert not [sentence for sentence in refused if "\n" in sentence]
