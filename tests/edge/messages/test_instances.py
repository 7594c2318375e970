"""The messages of instance masks and poses: their numbers, and that they cannot grow at will."""

from __future__ import annotations

import json
import re
import typing

import factories
import jsonschema
import numpy as np
import pytest
from factories import IDENTITY, LABELS, observation
from hypothesis import given
from hypothesis import strategies as st

from edge.config import toml
from edge.decode.keypoints import COCO_KEYPOINTS
from edge.heads import HEADS
from edge.messages import instances, poses
from edge.messages.envelope import Encoder
from edge.messages.schema import schema
from edge.messages.segmentation import MAX_RUNS
from edge.record import read
from edge.results.instances import Instances, Mask
from edge.results.poses import Poses

pytestmark = pytest.mark.board

VALIDATOR = jsonschema.Draft202012Validator(schema())
NAMES = ("head", "tail")


def encode(result, *, class_map=True, names=NAMES):
    if isinstance(result, Instances):
        encoder = Encoder(*IDENTITY, "instances", instances.fields(LABELS, class_map=class_map))
    else:
        encoder = Encoder(*IDENTITY, "poses", poses.fields(LABELS, names))
    data = encoder.encode(observation(result=result))
    message = json.loads(data)
    VALIDATOR.validate(message)
    return message, len(data)


def masked(*cells):
    found = factories.detections(len(cells))
    masks = (
        Mask(np.array(each, bool), tuple(box))
        for each, box in zip(cells, found.boxes.tolist(), strict=True)
    )
    return Instances.of(found, tuple(masks))


def unpacked(mask):
    values = np.arange(len(mask["runs"])) % 2
    return np.repeat(values, mask["runs"]).reshape(mask["height"], mask["width"]).astype(bool)


@given(st.lists(st.integers(0, 2**32), min_size=1, max_size=5))
def test_the_cells_come_back_from_their_runs(seeds):
    rng = np.random.default_rng(seeds)
    cells = [rng.random(rng.integers(1, 12, 2)) < rng.random() for _ in seeds]
    message, _ = encode(masked(*cells))
    for sent, expected in zip(message["instances"], cells, strict=True):
        np.testing.assert_array_equal(unpacked(sent["mask"]), expected)
        assert sent["mask"]["box_px"] == sent["box_px"]


def test_the_runs_begin_outside_and_the_area_is_of_the_frame():
    message, _ = encode(masked([[True, True], [False, True]]))
    (sent,) = message["instances"]
    assert sent["mask"]["runs"] == [0, 2, 1, 1]
    x1, y1, x2, y2 = factories.detections(1).boxes[0].tolist()
    expected = (x2 - x1) * (y2 - y1) * 3 / 4 / (1280 * 720)
    assert sent["area_ratio"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("count", [1, 20, 100])
def test_masks_of_noise_are_sent_coarser_until_all_of_them_fit(count):
    noise = np.random.default_rng(1).random((count, 160, 160)) < 0.5
    message, size_bytes = encode(masked(*noise))
    numbers = [len(each["mask"]["runs"]) for each in message["instances"]]
    assert sum(numbers) <= MAX_RUNS + count
    assert min(each["mask"]["width"] for each in message["instances"]) >= 1
    assert size_bytes < 30 * 1024 + count * 250


def test_without_the_map_a_message_has_areas_alone():
    message, _ = encode(masked([[True]]), class_map=False)
    assert "mask" not in message["instances"][0]
    assert message["instances"][0]["area_ratio"] > 0


def test_a_frame_without_any_has_an_empty_list():
    assert encode(Instances.none())[0]["instances"] == []
    assert encode(Poses.none())[0]["poses"] == []


def test_a_keypoint_has_its_name_its_place_and_its_score():
    points = np.array([[[640, 180, 0.25], [-12.8, 720, 1]]], np.float32)
    message, _ = encode(Poses.of(factories.detections(1), points))
    (pose,) = message["poses"]
    assert pose["label"] == LABELS[0]
    assert pose["keypoints"] == [
        {"name": "head", "point_px": [640, 180], "point_ratio": [0.5, 0.25], "score": 0.25},
        {"name": "tail", "point_px": [-12.8, 720], "point_ratio": [-0.01, 1], "score": 1},
    ]


def test_what_is_not_finite_is_left_out():
    points = np.ones((3, 2, 3), np.float32)
    points[1, 1, 0] = np.nan
    message, _ = encode(Poses.of(factories.detections(3), points))
    assert [each["class_id"] for each in message["poses"]] == [0, 2]
    found = factories.detections(2)
    found.boxes[0, 2] = np.inf
    mask = Mask(np.ones((1, 1), bool), (0, 0, 1, 1))
    message, _ = encode(Instances.of(found, (mask, mask)))
    assert [each["class_id"] for each in message["instances"]] == [1]


def test_a_hundred_poses_of_seventeen_points_take_under_200_kib():
    points = np.full((100, 17, 3), 719.9, np.float32)
    points[..., 2] = 0.9999
    _, size_bytes = encode(Poses.of(factories.detections(100), points), names=COCO_KEYPOINTS)
    assert size_bytes < 200 * 1024


@pytest.mark.parametrize(
    ("page", "kinds"),
    [
        ("instances", [instances.InstancePayload, instances.MaskPayload]),
        ("pose", [poses.PosePayload, poses.KeypointPayload]),
    ],
)
def test_the_page_of_the_documentation_shows_what_is_sent(root, page, kinds):
    text = (root / "docs" / f"{page}.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    VALIDATOR.validate(json.loads(example))
    for kind in kinds:
        for name in typing.get_type_hints(kind):
            assert f"`{name}`" in text


@pytest.mark.parametrize("page", ["instances", "pose"])
def test_the_heads_of_the_documentation_can_be_read(root, page, tmp_path):
    text = (root / "docs" / f"{page}.md").read_text(encoding="utf-8")
    for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL):
        (tmp_path / "model.toml").write_text(block, encoding="utf-8")
        head = toml.read(tmp_path / "model.toml")["head"]
        assert read(HEADS[head["kind"]].schema, head).kind == head["kind"]
