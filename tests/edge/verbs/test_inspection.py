from dataclasses import replace
from pathlib import Path

import drawn_grids
import pytest
from reference import tiny_autoencoder

from edge.decode.anchor_free import AnchorFreeGrid, AnchorFreeHead
from edge.decode.centroids import CentroidsHead
from edge.decode.decoded import DecodedHead
from edge.decode.detections import DetectionsHead
from edge.decode.instance_masks import PrototypeMasksHead
from edge.decode.segmentation import SegmentationHead
from edge.decode.yolo import YoloGrid, YoloHead
from edge.model import model_file
from edge.model.default import default_model_path
from edge.model.model_file import ModelFile
from edge.model.readers import manifest
from edge.record import read
from edge.verbs import inspection

pytestmark = pytest.mark.board


@pytest.fixture(scope="module")
def shown():
    return inspection.inspect(model_file.read(default_model_path()))


@pytest.fixture(scope="module")
def facts(shown):
    return shown.facts()


def test_each_tensor_is_described_with_its_role_and_scale(facts):
    roles = [tensor["role"] for tensor in facts["tensors"]]
    assert sorted(roles) == ["boxes", "input", "scores"]
    for tensor in facts["tensors"]:
        assert tensor["dtype"] == "int8"
        assert tensor["scale"] > 0


def test_the_facts_hold_the_whole_manifest(facts):
    read_back = {key: facts[key] for key in manifest.Manifest.__struct_fields__}
    assert read(manifest.Manifest, read_back).digest.startswith("sha256:")


def test_the_text_names_accuracy_with_its_interval_and_images(shown, facts):
    text = shown.text()
    row = facts["accuracy"][0]
    assert row["metric"] in text
    assert "95 % interval" in text
    assert f"{row['images']} images" in text
    assert "described   by manifest" in text


def test_a_model_without_labels_has_no_line_of_them(tmp_path):
    text = inspection.inspect(tiny_autoencoder.write(tmp_path / "m.tflite")).text()

    assert "labels" not in text


def test_a_model_without_calibration_or_accuracy_is_shown_all_the_same(shown):
    file = shown.file
    bare = file.manifest.replace(calibration=None, accuracy=())
    text = replace(shown, file=replace(file, manifest=bare)).text()
    assert "calibrated" not in text
    assert "accuracy" not in text


@pytest.mark.parametrize(
    ("head", "shapes", "expected"),
    [
        pytest.param(
            YoloHead(
                grids=(
                    YoloGrid(
                        boxes="raw",
                        objectness="raw",
                        scores="raw",
                        anchors_px=((10, 14), (23.5, 27)),
                        scale_xy=1.05,
                    ),
                )
            ),
            {"raw": (1, 2, 3, 16)},
            [
                "head        yolo, sides exp, classes sigmoid",
                "grid        3 x 2 cells in raw, centre times 1.05, anchors 10 x 14, 23.5 x 27 px",
                "thresholds  score 0.5, IoU 0.6",
            ],
            id="yolo",
        ),
        pytest.param(
            AnchorFreeHead(
                grids=(AnchorFreeGrid(boxes="b", scores="s", stride_px=8),),
                boxes="distribution",
                bins=16,
            ),
            {"b": (1, 2, 3, 64), "s": (1, 2, 3, 3)},
            [
                "head        anchor_free, boxes distribution over 16 bins",
                "grid        3 x 2 cells in b, s, stride 8 px",
            ],
            id="anchor-free",
        ),
        pytest.param(
            SegmentationHead(activation="softmax"),
            {"classes": (1, 6, 10, 3)},
            [
                "head        segmentation, 10 x 6 cells, activation softmax",
                ", background class 0 (class 0)",
            ],
            id="segmentation",
        ),
        pytest.param(
            SegmentationHead(activation="argmax", background=None),
            {"classes": (1, 6, 10)},
            ["activation argmax, background class none"],
            id="segmentation without background",
        ),
    ],
)
def test_the_text_says_of_each_head_how_it_is_decoded(head, shapes, expected):
    spec = drawn_grids.spec_of(head, shapes, classes=3, input_wh=(24, 16))
    file = ModelFile(Path("m.tflite"), b"", spec.description, read_by="toml")
    shown = inspection.Inspection(file, spec)
    assert shown.facts()["head"] == head.plain()
    text = shown.text()
    for line in expected:
        assert line in text


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (DetectionsHead(), "score 0.5"),
        (DetectionsHead(suppressed=False), "score 0.5, IoU 0.6"),
        (PrototypeMasksHead(boxes=DecodedHead(suppressed=True)), "score 0.5"),
        (CentroidsHead(), "score 0.5"),
    ],
    ids=["end to end", "suppressed here", "masks of suppressed boxes", "centroids"],
)
def test_no_iou_threshold_is_shown_of_a_head_that_asks_none(shown, head, said):
    described = replace(shown.spec.description, head=head)
    lines = inspection._threshold_lines(replace(shown.spec, description=described))
    assert lines == [("thresholds", said)]
