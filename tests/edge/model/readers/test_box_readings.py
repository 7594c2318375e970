"""Boxes of bare files: whatever the exporter of the year wrote, or a question."""

from __future__ import annotations

import bare_models as bare
import factories
import numpy as np
import pytest
import told_files as told

from edge.errors import ModelError
from edge.model import model_file
from edge.model.declared import Declared, Terminal
from edge.model.loaded import load_model
from edge.model.readers import exporter
from edge.model.readers.inference import Undescribed
from edge.model.readers.readings import READINGS

pytestmark = pytest.mark.board
SIDE = 96
CELLS = 12 * 12 + 6 * 6 + 3 * 3  # of strides 8, 16 and 32
LAST, FIRST = (1, SIDE, SIDE, 3), (1, 3, SIDE, SIDE)
FRAME = np.full((2 * SIDE, 2 * SIDE, 3), (0, 0, 255), np.uint8)  # red: R is 1
RATIOS = (0.5, 0.5, 0.25, 0.5)  # centre and sides
CORNERS = (0.375, 0.25, 0.625, 0.75)
BOX = [72, 48, 120, 144]  # of the frame


@pytest.fixture
def read(tmp_path):
    def read(data):
        path = tmp_path / "boxes.tflite"
        path.write_bytes(data)
        return model_file.read(path)

    return read


def table(shape, make=LAST):
    """Return a model with the image in this layout, and zeros of an output's shape, twice."""
    model = bare.Bare(make)
    model.factor((1, 0, 0))
    return model, np.zeros(shape), np.zeros(shape)


def seen(file):
    found = load_model(file).with_thresholds(score=0.3)(FRAME)
    return (
        found.boxes.round(3).tolist(),
        found.class_ids.tolist(),
        found.scores.astype(float).round(3).tolist(),
    )


@pytest.mark.parametrize("layout", [LAST, FIRST], ids=["channels last", "channels first"])
def test_joint_columns_of_the_exporter_are_ratios_in_either_layout(read, layout):
    model, fixed, shown = table((1, 6, CELLS), layout)
    fixed[0, :4, 7], shown[0, 5, 7] = RATIOS, 0.9
    file = read(told.exported(model.file(model.gives("out", fixed, seen=shown))))
    assert file.description.head.plain() == file.description.head.plain() | {
        "kind": "decoded", "boxes": "cxcywh", "units": "ratios", "objectness": False,
    }  # fmt: skip
    assert file.description.input.resize == "letterbox"
    assert seen(file) == ([BOX], [1], [0.9])


def test_rows_of_version_5_have_an_objectness(read):
    model, fixed, shown = table((1, 3 * CELLS, 7))
    fixed[0, 5], shown[0, 5, 4], fixed[0, 5, 6] = [*RATIOS, 0, 0, 0], 0.9, 1
    data = model.file(model.gives("out", fixed, seen=shown))
    old = told.with_files(data, {"meta.txt": str({"stride": 32, "names": {0: "a", 1: "b"}})})
    assert seen(read(old)) == ([BOX], [1], [0.9])


@pytest.mark.parametrize(
    ("layout", "units"),
    [pytest.param(LAST, 1, id="ratios of the older"), pytest.param(FIRST, SIDE, id="pixels now")],
)
def test_end_to_end_rows_are_ratios_or_pixels_by_the_layout(read, layout, units):
    model, fixed, shown = table((1, 5, 6), layout)
    fixed[0, 2, :4], shown[0, 2, 4], fixed[0, 2, 5] = np.array(CORNERS) * units, 0.9, 1
    file = read(told.exported(model.file(model.gives("out", fixed, seen=shown)), end2end=True))
    assert file.description.head.kind == "detections"
    assert seen(file) == ([BOX], [1], [0.9])


def test_a_detr_is_not_suppressed(read):
    model, fixed, _ = table((1, 3, 6))
    fixed[0, :2] = [*RATIOS, 0, 0.9]
    data = told.exported(model.file(model.gives("out", fixed)), head="RTDETRDecoder")
    assert seen(read(data)) == ([BOX, BOX], [1, 1], [0.9, 0.9])


def asked(read, data):
    with pytest.raises(Undescribed) as refused:
        read(data)
    return {line.split(" = ")[0].strip() for line in str(refused.value).splitlines()[1:]}


@pytest.mark.parametrize(
    ("shape", "keys"),
    [
        pytest.param((1, 84, CELLS), {"[head] units", "[model] labels"}, id="columns of v8"),
        pytest.param((1, 3 * CELLS, 85), {"[head] units", "[model] labels"}, id="rows of v5"),
        pytest.param(
            (1, 300, 6),
            {"[head] kind", "[head] units", "[model] labels"}
            | {f"[input] {key}" for key in ("color", "mean", "std")},
            id="rows of six",
        ),
        pytest.param(
            (1, CELLS, 85),
            {"[head] kind", *(f"[input] {key}" for key in ("color", "mean", "std"))},
            id="rows of YOLOX or of v6",
        ),
    ],
)
def test_joint_outputs_without_a_word_of_their_exporter_are_asked_about(read, shape, keys):
    model, fixed, _ = table(shape)
    assert asked(read, model.file(model.gives("out", fixed))) == keys


@pytest.mark.parametrize("task", ["obb", "depth", "something new"])
def test_a_task_without_a_head_is_asked_about(read, task):
    model, fixed, _ = table((1, 7, CELLS))
    data = told.exported(model.file(model.gives("out", fixed)), task=task)
    assert asked(read, data) == {"[head] kind"}


def test_a_width_that_is_not_the_exporters_classes_is_asked_about(read):
    model, fixed, _ = table((1, 9, CELLS))
    assert asked(read, told.exported(model.file(model.gives("out", fixed)))) == {"[head] kind"}


def test_a_coarse_softmax_may_be_two_heads(read):
    make = bare.Bare((1, 16, 16, 3), dtype="uint8", quant=(1 / 255, 0))
    pooled = make.like(make.image, "pooled", (1, 2, 2, 3))
    make.op(
        "AVERAGE_POOL_2D", (make.image,), (pooled,), version=2, padding="VALID",
        strideH=8, strideW=8, filterHeight=8, filterWidth=8,
    )  # fmt: skip
    scores = make.then("SOFTMAX", pooled, "scores", (1, 2, 2, 3), bare.fixed_quant("uint8"))
    with pytest.raises(Undescribed, match=r'"centroids" if .*; "segmentation" if'):
        read(make.file(scores))


@pytest.mark.parametrize("kind", ["decoded", "end to end"])
def test_one_scale_that_leaves_scores_no_levels_is_refused(read, kind):
    model, fixed, _ = table((1, 6, CELLS) if kind == "decoded" else (1, 300, 6))
    data = model.file(model.gives("out", fixed, quant=(2.5, -128), dtype="int8"))
    file = read(told.exported(data, end2end=kind != "decoded"))
    with pytest.raises(
        ModelError, match=r"one scale, 2\.5, for boxes and scores, which leaves .* 1 of"
    ):
        load_model(file)


def onnx(shape, **facts):
    """Return the readings of an exporter's ONNX file with this output."""
    image, out = (factories.tensor(name, each) for name, each in (("images", FIRST), ("o", shape)))
    entries = {"names": "{0: 'a', 1: 'b'}", "task": "detect", "imgsz": "[96, 96]"}
    entries |= {"stride": "32"} | facts
    model = Declared(
        (Terminal(image),), (Terminal(out),), exporter.told_by("x", entries), is_onnx=True
    )
    return [reading for recognise in READINGS.values() for reading in recognise(model)]


@pytest.mark.parametrize(
    ("shape", "facts", "units"),
    [
        pytest.param((1, 6, CELLS), {}, "pixels", id="columns"),
        pytest.param((1, 300, 6), {"end2end": "True"}, "pixels", id="end to end"),
        pytest.param((1, 300, 6), {"args": "{'nms': True}"}, "pixels", id="suppressed"),
        pytest.param((1, 300, 6), {"head": "RTDETRDecoder"}, "ratios", id="a DETR"),
    ],
)
def test_an_exporters_onnx_file_has_pixels_but_for_detrs(shape, facts, units):
    (reading,) = onnx(shape, **facts)
    assert (reading.head.units, reading.unknown) == (units, {})


def test_keypoints_are_in_the_units_of_their_boxes():
    (reading,) = onnx((1, 6 + 51, CELLS), task="pose", kpt_shape="[17, 3]")
    assert (reading.head.units, reading.head.boxes.units) == ("pixels", "pixels")


def test_the_units_of_an_onnx_file_for_an_integer_chip_are_asked():
    (reading,) = onnx((1, 6, CELLS), args="{'quantize': 8}")
    assert list(reading.unknown) == ["head.units"]


@pytest.mark.parametrize("shape", [[17], [17, 4], "17", [17, "x"], [0, 3], None])
def test_keypoints_of_no_known_shape_are_asked_about(read, shape):
    model, fixed, _ = table((1, 6 + 51, CELLS))
    data = told.exported(model.file(model.gives("out", fixed)), task="pose", kpt_shape=shape)
    assert asked(read, data) == {"[head] kind"}


def test_of_points_and_their_boxes_both_units_are_asked():
    facts = {"task": "pose", "kpt_shape": "[17, 3]", "args": "{'quantize': 8}"}
    (reading,) = onnx((1, 6 + 51, CELLS), **facts)
    assert set(reading.unknown) == {"head.units", "head.boxes.units"}
