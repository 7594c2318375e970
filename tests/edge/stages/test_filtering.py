"""Masks and filters leave out what is no object, and leave the rest as it is."""

from __future__ import annotations

import factories
import numpy as np
import pytest

from edge.config.reading import parse
from edge.results.detections import Detections
from edge.stages.filtering import Filtering
from edge.stages.registry import open_stages

pytestmark = pytest.mark.board

LABELS = ("person", "car", "dog")
LEFT = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]


def seen(*rows):
    """Return a frame of 100 x 100 of rows x, foot, side, score, class."""
    table = np.array(rows, np.float64).reshape(-1, 5)
    x, y, half = table[:, 0], table[:, 1], table[:, 2] / 2
    boxes = np.stack([x - half, y - 2 * half, x + half, y], axis=1).astype(np.float32)
    found = Detections(boxes, table[:, 3].astype(np.float32), table[:, 4].astype(np.int32))
    return factories.observation(camera="camera", size_wh=(100, 100), result=found)


def kept(observation, **tables):
    result = Filtering(parse(tables), LABELS).process(observation).result
    return list(zip(result.boxes[:, 3].tolist(), result.class_ids.tolist(), strict=True))


def test_what_stands_in_a_mask_is_not_seen_and_what_stands_beside_it_is():
    frame = seen((20, 50, 10, 0.9, 0), (80, 60, 10, 0.9, 0), (20, 70, 10, 0.8, 1))
    assert kept(frame, mask={"polygon": LEFT}) == [(60, 0)]
    assert kept(frame, mask={"polygon": LEFT, "labels": ["car"]}) == [(50, 0), (60, 0)]
    cameras = {"camera": [{"name": "camera"}, {"name": "gate"}]}
    assert len(kept(frame, mask={"polygon": LEFT, "camera": "gate"}, **cameras)) == 3


def test_a_filter_is_for_its_labels_only():
    frame = seen((20, 50, 10, 0.9, 0), (80, 60, 40, 0.6, 0), (20, 70, 10, 0.6, 1))
    assert kept(frame, filter={"labels": ["person"], "min_score": 0.7}) == [(50, 0), (70, 1)]
    assert kept(frame, filter={"labels": ["person"], "min_area_ratio": 0.1}) == [(60, 0), (70, 1)]
    assert kept(frame, filter=[{"max_area_ratio": 0.1}, {"labels": ["car"], "min_score": 1}]) == [
        (50, 0)
    ]


def test_nothing_to_leave_out_leaves_the_observation_itself():
    frame = seen((20, 50, 10, 0.9, 0))
    config = parse({"filter": {"min_score": 0.5}})
    assert Filtering(config, LABELS).process(frame) is frame
    assert len(Filtering(config, LABELS).process(seen()).result) == 0


def test_with_tracking_a_low_score_goes_on_with_a_track_and_begins_none():
    config = parse({"tracking": {}, "filter": {"labels": ["person"], "min_score": 0.8}})
    described = factories.manifest(labels=LABELS).description(factories.anchors())
    thresholds = described.thresholds()
    stages = open_stages(config, described, thresholds=thresholds, memory={}, ask=lambda *_: None)
    assert [stage.name for stage in stages] == ["filter", "track"]

    def ids(*rows, number):
        observation = factories.observation(
            number, camera="camera", size_wh=(100, 100), source_ns=number * 10**8,
            result=seen(*rows).result,
        )  # fmt: skip
        for stage in stages:
            observation = stage.process(observation)
        result = observation.result
        return dict(zip(result.track_ids.tolist(), result.class_ids.tolist(), strict=True))

    assert ids((20, 50, 10, 0.7, 0), (80, 50, 10, 0.7, 1), number=0) == {1: 1}
    assert ids((20, 50, 10, 0.9, 0), (80, 50, 10, 0.7, 1), number=1) == {1: 1, 2: 0}
    assert ids((20, 50, 10, 0.9, 0), (80, 50, 10, 0.7, 1), number=2) == {1: 1, 2: 0}
    assert ids((20, 50, 10, 0.6, 0), (80, 50, 10, 0.7, 1), number=3) == {1: 1, 2: 0}
