"""A task is a row: what is sent, counted and drawn follows from the head alone."""

from __future__ import annotations

import json

import cv2
import factories
import numpy as np
import pytest
from reference import tiny_instances, tiny_segmenter

from edge import cli
from edge.decode.anchor_free import AnchorFreeGrid, AnchorFreeHead
from edge.decode.instance_masks import PrototypeMasksHead
from edge.decode.keypoints import KeypointsHead
from edge.decode.segmentation import SegmentationHead
from edge.errors import ConfigError
from edge.heads import HEADS
from edge.results.instances import Instances, Mask
from edge.results.poses import Poses
from edge.tasks import TASKS, describe, refuse_thresholds, task_for

pytestmark = pytest.mark.board


def segmenter(activation, labels=factories.LABELS):
    head = SegmentationHead(activation=activation)
    manifest = factories.manifest(head=head, outputs={"classes": "c"}, labels=labels)
    return manifest.description(None)


SEGMENTER = segmenter("softmax")
ROAD = segmenter("sigmoid", ("no road", "road"))
DETECTOR = factories.manifest().description(factories.anchors())
BOXES = AnchorFreeHead(
    grids=(AnchorFreeGrid(boxes="b", scores="s", stride_px=8),), boxes="distances"
)


def described_as(head):
    return factories.manifest(head=head, outputs={"b": "b"}).description(None)


def instances(count):
    mask = Mask(np.ones((2, 3), bool), (100.0, 100.0, 220.0, 180.0))
    return Instances.of(factories.detections(count), (mask,) * count)


def poses(count):
    points = np.array([[[200, 100, 1], [300, 200, 0.9]]] * count, np.float32)
    return Poses.of(factories.detections(count), points)


RESULTS = {
    "instances": (described_as(PrototypeMasksHead(boxes=BOXES)), instances(2)),
    "pose": (
        described_as(KeypointsHead(boxes=BOXES, names=("head", "tail"), skeleton=((0, 1),))),
        poses(2),
    ),
    "detection": (DETECTOR, factories.detections(2)),
    "segmentation": (SEGMENTER, factories.class_map()),
}


def test_every_head_has_a_task_and_every_task_a_topic_of_its_own():
    assert {head.task for head in HEADS.values()} == set(TASKS)
    assert len({task.topic for task in TASKS.values()}) == len(TASKS)


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_sent_described_counted_and_drawn_by_its_row(name):
    description, result = RESULTS[name]
    task = task_for(description)
    assert task is TASKS[name]
    encoder = task.encoder("porch", description, class_map=True)
    assert encoder.topic("front") == f"edge/porch/front/{task.topic}"
    payload = json.loads(encoder.encode(factories.observation(result=result)))
    seen = describe(encoder.topic("front"), payload)
    assert seen
    assert all(label in text for label, text in seen)
    tally = task.tally(description)
    tally.add(result)
    assert tally.text()
    image = np.zeros((720, 1280, 3), np.uint8)
    task.draw_inplace(image, result, description)
    assert image.any()


@pytest.mark.parametrize(
    ("write", "topic", "inside"),
    [
        (tiny_instances.write_instances, "instances", {"width": 4, "height": 4}),
        (tiny_instances.write_poses, "poses", {"name": "corner", "point_px": [24, 8]}),
    ],
    ids=["instances", "poses"],
)
def test_a_model_of_it_runs_from_an_image_to_its_message(tmp_path, capfd, write, topic, inside):
    write(tmp_path / "m.tflite")
    image = np.zeros((24, 32, 3), np.uint8)
    image[10:12, 10:12] = (0, 0, 255)
    cv2.imwrite(str(tmp_path / "spot.png"), image)
    options = ["--model", str(tmp_path / "m.tflite"), "--source", f"file:{tmp_path / 'spot.png'}"]
    assert cli.main(["run", *options]) == 0
    (line,) = capfd.readouterr().out.splitlines()
    (found,) = json.loads(line)[topic]
    assert (found["label"], found["box_px"]) == ("red", [4, 4, 12, 12])
    part = found.get("mask") or found["keypoints"][0]
    assert part.items() >= inside.items()


@pytest.mark.parametrize("key", ["iou_threshold", "max_detections"])
def test_a_threshold_without_meaning_is_refused_in_one_sentence(key):
    refuse_thresholds(ROAD, ["score_threshold"])
    refuse_thresholds(DETECTOR, ["score_threshold", key])
    with pytest.raises(ConfigError, match=rf"\[model\] {key} has no meaning .* score_threshold; "):
        refuse_thresholds(ROAD, ["score_threshold", key])


def test_tracking_is_refused_for_a_model_without_boxes(tmp_path, capsys):
    tiny_segmenter.write(tmp_path / "s.tflite")
    config = tmp_path / "door.toml"
    config.write_text("[model]\nfile = 's.tflite'\n[tracking]\n")
    for command in (["run", str(config), "--frames", "1"], ["check", str(config)]):
        assert cli.main(command) == 2
        assert "[tracking] follows the boxes of models for detection and instances and pose, " in (
            capsys.readouterr().err
        )


def test_edge_run_refuses_an_iou_threshold_for_a_segmenter_with_status_2(tmp_path, capsys):
    tiny_segmenter.write(tmp_path / "s.tflite")
    config = tmp_path / "door.toml"
    config.write_text("[model]\nfile = 's.tflite'\niou_threshold = 0.4\n")
    assert cli.main(["run", str(config), "--frames", "1"]) == 2
    assert "[model] iou_threshold has no meaning" in capsys.readouterr().err
    assert cli.main(["check", str(config)]) != 0
    assert "[model] iou_threshold has no meaning" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("activation", "labels", "works"),
    [
        ("sigmoid", 2, True),
        ("none", 2, True),
        ("none", 3, False),
        ("softmax", 2, False),
        ("argmax", 2, False),
    ],
)
def test_a_score_threshold_is_refused_where_the_greatest_score_wins(activation, labels, works):
    described = segmenter(activation, factories.LABELS[:labels])
    if works:
        refuse_thresholds(described, ["score_threshold"])
        return
    with pytest.raises(ConfigError, match=r"score_threshold has no meaning .* none; leave"):
        refuse_thresholds(described, ["score_threshold"])
