"""What all decoders of boxes share: which candidates meet, and what the limits cut is told."""

from __future__ import annotations

import dataclasses

import factories
import numpy as np
import pytest

from edge.config.sections import Config, Model
from edge.decode.boxes import Candidates
from edge.frame import Placement, StageClock
from edge.model.description import Thresholds
from edge.parts import thresholds
from edge.results.detections import DetectionTally
from edge.results.poses import Poses
from edge.tasks import THRESHOLDS

pytestmark = pytest.mark.board

WHOLE = Placement.fit((100, 100), (100, 100), resize="stretch")


def seen(count, **limits):
    """Return what is seen of so many equal boxes side by side, of classes 0 and 1 in turn."""
    found = Candidates(Thresholds(0.5, 0.5, **limits))
    scores = np.linspace(0.9, 0.6, count, dtype=np.float32)
    found.add(np.arange(count), np.arange(count) % 2, scores)
    left = found.cells[: found.count] // 2 * 10
    found.boxes[: found.count] = np.stack([left, left * 0, left + 9, left * 0 + 9], axis=1)
    return found.detections(WHOLE, StageClock())


def test_boxes_of_two_classes_meet_only_where_all_do():
    assert len(seen(6)) == len(seen(6, suppression="class")) == 6
    assert seen(6, suppression="all").class_ids.tolist() == [0, 0, 0]


def test_of_a_model_that_suppresses_by_itself_none_meet_unless_it_is_asked_for():
    assert Thresholds(0.5, 0.5).of_suppressed().suppression == "none"
    assert Thresholds(0.5, 0.5, suppression="all").of_suppressed().suppression == "all"


def test_what_the_limits_cut_is_told_and_counted():
    kept, few, fewer = seen(6), seen(6, max_detections=5), seen(6, max_candidates=4)
    assert [(each.cut_candidates, each.is_full) for each in (kept, few, fewer)] == [
        (0, False),
        (0, True),
        (2, False),
    ]
    assert [len(each) for each in (kept, few, fewer)] == [6, 5, 4]
    tally = DetectionTally()
    posed = Poses.of(few, np.zeros((5, 1, 3), np.float32))
    for each in (kept, few, posed[:2], fewer.copy()):
        tally.add(each)
    assert tally.text() == (
        "17 detections, in 2 of the frames max_detections left some out, "
        "in 1 of the frames max_candidates left some out"
    )


def test_a_frame_that_nothing_was_cut_of_follows_one_that_was():
    found = Candidates(Thresholds(0.5, 0.5, max_candidates=1))
    found.add(np.arange(3), np.zeros(3, np.int64), np.full(3, 0.9, np.float32))
    assert found.detections(WHOLE, StageClock()).cut_candidates == 2
    found.clear()
    empty = found.detections(WHOLE, StageClock())
    assert (len(empty), empty.cut_candidates, empty.is_full) == (0, 0, False)


def test_every_limit_of_the_configuration_reaches_the_decoder():
    given = {
        "score_threshold": 0.1,
        "iou_threshold": 0.2,
        "max_detections": 3,
        "max_candidates": 4,
        "suppression": "all",
    }
    assert set(given) == set(THRESHOLDS)
    found = thresholds(Config(model=Model(**given)), factories.manifest().description(None))
    assert dataclasses.astuple(found) == (0.1, 0.2, 3, 4, "all")
