"""What the person who converts need not say is what an exporter wrote of such a model."""

from __future__ import annotations

import pytest

from converter.choice import InputChoice, told_input
from edge.model.readers import exporter

pytestmark = pytest.mark.converter
KEYS = {"names": "{0: 'a'}", "stride": "32"}


@pytest.mark.parametrize(
    ("family", "task", "resize"),
    [
        ("yolo", "detect", "letterbox"),
        ("yolo-seg", "segment", "letterbox"),
        ("yolo-pose", "pose", "letterbox"),
        ("classifier", "classify", "stretch"),
    ],
)
def test_preprocessing_is_told_of_each_task(family, task, resize):
    told = exporter.told_by("x", KEYS | {"task": task})

    assert told_input(told, family=family) == InputChoice(
        color="rgb", mean=(0, 0, 0), std=(255, 255, 255), resize=resize
    )


@pytest.mark.parametrize(
    ("family", "facts"),
    [
        pytest.param("classifier", {}, id="YOLOv5 writes no task"),
        pytest.param("classifier", {"task": "detect"}, id="a detector"),
        pytest.param("yolo", {"task": "classify"}, id="a classifier"),
    ],
)
def test_nothing_is_told_of_a_model_of_another_kind(family, facts):
    assert told_input(exporter.told_by("x", KEYS | facts), family=family) is None


def test_a_grey_image_is_for_the_graph_to_tell():
    told = exporter.told_by("x", KEYS | {"channels": "1"})

    assert told_input(told, family="yolo").color is None


def test_nothing_is_told_without_an_exporter():
    assert told_input(None, family="yolo") is None
