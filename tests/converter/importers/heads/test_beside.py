"""What stands beside a YOLO's boxes is told by its decode, in ONNX and in a float .tflite."""

from __future__ import annotations

import functools

import pytest
from reference import onnx_beside, onnx_models

from converter.choice import Choice
from converter.graph.writing import write
from converter.importers.heads import beside
from converter.importers.heads.families import FAMILY_OF_HEAD
from converter.importers.onnx.importer import import_onnx, read_graph, told_family
from converter.importers.tflite import import_tflite
from edge.errors import ModelError

pytestmark = pytest.mark.converter
MODELS = {
    "yolov8-seg": (onnx_beside.yolov8_seg, "yolo-seg"),
    "yolov5-seg": (onnx_beside.yolov5_seg, "yolo-seg"),
    "yolov8-pose": (onnx_beside.yolov8_pose, "yolo-pose"),
}


def saved(proto, tmp_path, name="model.onnx"):
    path = tmp_path / name
    path.write_bytes(proto.SerializeToString())
    return path


def imported(proto, tmp_path, *, family=None):
    return import_onnx(saved(proto, tmp_path), family=family, choice=Choice())


@pytest.fixture(scope="module")
def drafts(tmp_path_factory):
    """Return each model's import, made on first use, its family told by the file."""
    folder = tmp_path_factory.mktemp("beside")
    return functools.cache(lambda name: imported(MODELS[name][0](), folder))


@pytest.mark.parametrize("name", MODELS)
def test_the_family_is_told_and_onnxruntime_gives_the_same_heads(name, drafts, tmp_path):
    make, family = MODELS[name]

    assert told_family(saved(make(), tmp_path))[0] == family
    assert FAMILY_OF_HEAD[drafts(name).head.kind] == family
    assert "import checked against onnxruntime" in drafts(name).changes


@pytest.mark.parametrize(("name", "boxes"), [("yolov8-seg", "anchor_free"), ("yolov5-seg", "yolo")])
def test_masks_have_coefficients_on_each_grid_and_prototypes(name, boxes, drafts):
    draft = drafts(name)

    assert draft.head.boxes.kind == boxes
    assert draft.head.coefficients == ("coefficients0", "coefficients1")
    anchors = 2 if boxes == "yolo" else 1
    assert draft.graph.shape("coefficients0") == (1, 8, 8, 8 * anchors)
    assert draft.graph.shape("prototypes") == (1, 16, 16, 8)
    assert draft.labels == ("thing 0", "thing 1", "thing 2")


@pytest.mark.parametrize(
    ("points", "numbers", "scored"), [(17, 3, True), (6, 2, False)], ids=["COCO's", "unscored"]
)
def test_points_are_read_by_the_formula_of_their_decode(points, numbers, scored, tmp_path):
    draft = imported(onnx_beside.yolov8_pose(points=points, numbers=numbers), tmp_path)

    assert (draft.head.units, draft.head.scale, draft.head.scored) == ("cells", 2, scored)
    assert len(draft.head.names) == points
    assert draft.graph.shape("keypoints1") == (1, 4, 4, points * numbers)
    is_coco = points == 17
    assert draft.head.names[0] == ("nose" if is_coco else "point 1")
    assert bool(draft.head.skeleton) == is_coco
    assert len(draft.warnings) == (not is_coco), "of names that nobody said"


@pytest.mark.parametrize("name", ["yolov8-seg", "yolov5-seg", "yolov8-pose"])
def test_a_float_tflite_of_the_same_net_is_read_alike(name, drafts, tmp_path):
    make, family = MODELS[name]
    _, graph, _ = read_graph(saved(make(), tmp_path))
    path = tmp_path / "whole.tflite"
    path.write_bytes(write(graph))

    draft = import_tflite(path, family=None, choice=Choice())

    assert draft.head == drafts(name).head
    assert FAMILY_OF_HEAD[draft.head.kind] == family


def test_another_formula_of_points_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(beside, "SCALE", 3.0)

    with pytest.raises(ModelError, match="YOLOX behind the last convolutions, keypoints beside, f"):
        imported(onnx_beside.yolov8_pose(), tmp_path)


def test_a_family_of_masks_needs_prototypes(tmp_path):
    with pytest.raises(ModelError, match=r"expected one output of prototypes, .* found"):
        imported(onnx_models.yolov8(), tmp_path, family="yolo-seg")
