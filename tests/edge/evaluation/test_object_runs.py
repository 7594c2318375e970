"""Instance masks and poses, judged by pycocotools: figures, faults, pages."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from html_pages import read_page
from hypothesis import given
from hypothesis import strategies as st
from reference import tiny_instances

from edge import cli
from edge.decode.keypoints import numbered_points
from edge.evaluation.object_runs import OTHER_SIGMA, encoded, unpacked, with_masks
from edge.evaluation.truth import BoxTruth
from edge.model import model_file
from edge.model.readers import manifest

masks = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")

# Of red squares of 2 x 2 pixels in the lower right of a box: what the tiny model sees.
BOX, SEEN = (4, 4, 8, 8), (10, 10, 2, 2)
POINT_PX = (24, 8)


def eval_(*arguments):
    return cli.main(["eval", *map(str, arguments), "--resamples", "20"])


def square(x, y, width, height):
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def write_set(folder, rows, *, category=None):
    """Write three equal images with one red spot each, and an annotation `rows` of each."""
    image = np.zeros((24, 32, 3), np.uint8)
    image[10:12, 10:12] = (0, 0, 255)
    images, annotations = [], []
    for number, row in enumerate(rows, start=1):
        (folder / "images").mkdir(exist_ok=True)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), image)
        images.append({"id": number, "file_name": f"{number}.png", "width": 32, "height": 24})
        fields = {"id": number, "image_id": number, "category_id": 1, "bbox": list(BOX)}
        annotations.append(fields | {"area": 4, "iscrowd": 0} | row)
    coco = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "red"} | (category or {})],
    }
    (folder / "coco.json").write_text(json.dumps(coco))
    return ["--images", folder / "images", "--annotations", folder / "coco.json"]


def mask_rows():
    """Return the very mask in three forms: a polygon, runs, packed runs."""
    pixels = np.zeros((24, 32), np.uint8)
    pixels[10:12, 10:12] = 1
    packed = encoded(pixels.astype(bool))
    counts = packed["counts"].decode()
    return [
        {"segmentation": square(*SEEN)},
        {"segmentation": {"size": [24, 32], "counts": unpacked(counts)}},
        {"segmentation": {"size": [24, 32], "counts": counts}},
    ]


@pytest.fixture
def instances(tmp_path):
    tiny_instances.write_instances(tmp_path / "i.tflite")
    return tmp_path / "i.tflite"


@pytest.fixture
def poses(tmp_path):
    tiny_instances.write_poses(tmp_path / "p.tflite")
    return tmp_path / "p.tflite"


def test_masks_are_judged_at_the_images_size_whatever_form_they_have(instances, tmp_path, capsys):
    options = write_set(tmp_path, mask_rows())
    assert eval_(instances, *options, "--json") == 0
    (result,) = json.loads(capsys.readouterr().out)["evaluations"]
    assert result["task"] == "instances"
    assert result["main_metric"] == "mask mAP50-95"
    assert result["metrics"]["mask mAP50-95"] == pytest.approx(1)
    assert result["intervals"]["mask mAP50-95"] == pytest.approx([1, 1])
    assert result["classes"]["red"]["AP50"] == pytest.approx(1)
    assert result["confusion"]["counts"][0][0] == 3


def test_a_right_box_with_a_wrong_mask_is_a_miss_and_is_drawn(instances, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="pages need the extra `report`")
    rows = [*mask_rows()[:2], {"segmentation": square(*BOX), "area": 64}]
    options = write_set(tmp_path, rows)
    assert eval_(instances, *options, "--html", tmp_path / "x.html") == 0
    out = capsys.readouterr().out
    assert "mask mAP50-95" in out
    page = read_page(tmp_path / "x.html")
    assert "1 missed, 1 false alarms" in " ".join(page.texts)
    assert len(page.images) == 1


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param([], id="none"),
        pytest.param([[1, 2, 3, 4]], id="a line"),
        pytest.param([[1, 2, 3, 4, 5, None]], id="no number"),
        pytest.param({"size": [24, 32], "counts": [5, 5]}, id="runs too short"),
        pytest.param({"size": [24, 32], "counts": "zzz\x00"}, id="damaged text"),
        pytest.param({"size": [1, 1], "counts": [1]}, id="other size"),
        pytest.param("mask", id="text"),
        pytest.param({"size": [24, 32], "counts": [-5, 773]}, id="negative run"),
    ],
)
def test_a_damaged_mask_is_left_out_and_named(shape):
    good = {"id": 1, "image_id": 1, "segmentation": square(*SEEN)}
    fields = {
        "images": [{"id": 1, "width": 32, "height": 24}],
        "annotations": [good, good | {"id": 2, "segmentation": shape}],
        "categories": [{"id": 1, "name": "red"}],
    }
    truth = BoxTruth("set", fields, {})
    kept = with_masks(truth).fields["annotations"]
    assert [row["id"] for row in kept] == [1]
    assert truth.faults.lines() == ["1 objects without a sound mask, left out: id 2"]
    assert masks.area(kept[0]["segmentation"]) == 4


def test_boxes_alone_do_not_judge_masks(instances, tmp_path, capsys):
    assert eval_(instances, *write_set(tmp_path, [{}])) == 1
    assert "expected the masks of objects, found boxes alone" in capsys.readouterr().err


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32))
def test_packed_runs_are_read_as_pycocotools_packs_them(height, width, seed):
    rng = np.random.default_rng(seed)
    mask = rng.random((height, width)) < rng.random()
    runs = unpacked(encoded(mask)["counts"].decode())
    values = np.repeat(np.arange(len(runs)) % 2, runs).reshape(width, height).T
    np.testing.assert_array_equal(values, mask)


def keypoints(x, y, seen=2):
    return {"keypoints": [x, y, seen], "num_keypoints": int(seen > 0), "area": 64}


def test_poses_are_judged_by_the_similarity_of_their_points(poses, tmp_path, capsys):
    x, y = POINT_PX
    # exp(-d^2 / (8 s^2 area)): 0.70 at half a pixel off to each side.
    off = 0.27
    similarity = np.exp(-(2 * off**2) / (8 * OTHER_SIGMA**2 * 64))
    assert 0.85 < similarity < 0.9
    options = write_set(tmp_path, [keypoints(x + off, y - off)] * 2 + [keypoints(0, 0, seen=0)])
    assert eval_(poses, *options, "--json") == 0
    (result,) = json.loads(capsys.readouterr().out)["evaluations"]
    assert result["task"] == "pose"
    assert result["metrics"]["OKS mAP50"] == pytest.approx(1)
    # Of the thresholds 0.5, 0.55 … 0.95 it reaches the first eight.
    assert result["metrics"]["OKS mAP50-95"] == pytest.approx(0.8)
    assert "stages_ms" in result


def renamed(path, names):
    """Write a pose model again with other names of its points; of more than it gives, unfit."""
    file = model_file.read(path)
    head = file.manifest.head.replace(names=names)
    changed = file.manifest.replace(head=head)
    path.write_bytes(manifest.append(file.flatbuffer, changed, None))


def test_points_that_the_converter_numbered_are_those_of_the_annotations(poses, tmp_path, capsys):
    renamed(poses, numbered_points(1))
    options = write_set(tmp_path, [keypoints(*POINT_PX)], category={"keypoints": ["thumb"]})
    assert eval_(poses, *options, "--json") == 0
    (result,) = json.loads(capsys.readouterr().out)["evaluations"]
    assert result["metrics"]["OKS mAP50"] == pytest.approx(1)


def test_objects_count_by_the_points_that_they_have_and_not_by_the_number_that_is_said(
    poses, tmp_path, capsys
):
    missed, unlabelled = keypoints(0, 0), keypoints(*POINT_PX, seen=0)
    rows = [missed | {"num_keypoints": 0}, unlabelled | {"num_keypoints": 17}]
    options = write_set(tmp_path, rows)
    assert eval_(poses, *options, "--json") == 0
    (result,) = json.loads(capsys.readouterr().out)["evaluations"]
    assert result["objects"] == 1
    assert result["metrics"]["OKS mAP50"] == 0


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        pytest.param(
            ([{"keypoints": [1, 2, 2, 3, 4, 2]}], None),
            "expected objects with 1 keypoints",
            id="two",
        ),
        pytest.param(([{}], None), "give a COCO file with 'keypoints'", id="boxes alone"),
        pytest.param(
            ([keypoints(1, 2)], {"keypoints": ["nose"]}),
            "its keypoints (nose) are not the model's (corner)",
            id="another name",
        ),
        pytest.param(
            ([{"keypoints": [1, 2, 2] * 2}], {"keypoints": ["a", "a"]}),
            "its keypoints (a, a) are not the model's (left, right)",
            id="a name twice",
        ),
    ],
)
def test_what_a_pose_model_cannot_be_judged_by_is_told(poses, tmp_path, capsys, given, fault):
    rows, category = given
    if "left" in fault:
        renamed(poses, ("left", "right"))
    assert eval_(poses, *write_set(tmp_path, rows, category=category)) == 1
    assert fault in capsys.readouterr().err
