"""A camera is three lines of Python, and leaving the loop leaves nothing behind."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from itertools import groupby

import cv2
import numpy as np
import pytest

import edge
from edge import open_model, watch
from edge.capture.synthetic import SCENES_FOLDER
from edge.errors import ConfigError, EdgeError

pytestmark = pytest.mark.board


def threads_of_ours():
    return {each.name for each in threading.enumerate() if each.name.startswith("edge-")}


def test_every_image_of_a_folder_is_seen_once_and_the_results_are_the_callers():
    seen = list(watch(f"images:{SCENES_FOLDER}"))
    model = open_model()

    assert [each.sequence for each in seen] == [0, 1, 2]
    for each, path in zip(seen, sorted(SCENES_FOLDER.glob("*.jpg")), strict=True):
        alone = model(cv2.imread(str(path)))
        assert np.array_equal(each.result.boxes, alone.boxes)
    assert threads_of_ours() == set()


def test_leaving_the_loop_ends_the_threads():
    for seen in watch("demo:"):
        assert seen.camera == "camera"
        break

    assert threads_of_ours() == set()


def test_several_sources_come_in_turn_under_their_own_names():
    loop = watch("demo:", "demo:")
    names = {next(loop).camera for _ in range(6)}
    loop.close()

    assert names == {"camera-1", "camera-2"}


def test_a_loop_that_is_slower_than_the_camera_sees_new_frames_and_the_count_of_the_others():
    loop, seen = watch("demo:"), []
    for _ in range(200):  # four on a machine that has time for both
        seen.append(next(loop))
        if seen[-1].dropped_frames > 5:
            break
        time.sleep(0.3)
    loop.close()

    assert seen[-1].dropped_frames > 5
    assert seen[-1].sequence + 1 == len(seen) + seen[-1].dropped_frames


def test_objects_are_tracked_on_request():
    seen = list(watch(f"images:{SCENES_FOLDER}", tracking=True))
    plain = list(watch(f"images:{SCENES_FOLDER}"))

    for each, without in zip(seen, plain, strict=True):
        strong = each.result[each.result.scores >= 0.5]
        np.testing.assert_array_equal(strong.boxes, without.result.boxes)
        np.testing.assert_array_equal(strong.scores, without.result.scores)
        assert len(set(each.result.track_ids)) == len(each.result) > 0
        assert without.result.track_ids is None
        assert each.stage_ms["track"] >= 0


@pytest.mark.assets
@pytest.mark.slow
def test_six_people_who_come_one_after_the_other_have_six_ids(assets):
    clip = assets / "video" / "one-by-one-person-detection.mp4"
    together, ids = 0, []
    for seen in watch(f"file:{clip}", tracking=True):
        people = seen.result[seen.result.class_ids == 0].track_ids.tolist()
        together = max(together, len(people))
        ids += people

    assert together == 1
    assert [id_ for id_, _ in groupby(ids)] == [1, 2, 3, 4, 5, 6]


def test_a_stage_sees_each_observation_first_and_is_timed():
    class Nothing:
        name = "nothing"

        def process(self, observation):
            return replace(observation, result=observation.result[:0])

    (first, *_) = watch(f"images:{SCENES_FOLDER}", stages=[Nothing()])

    assert len(first.result) == 0
    assert first.stage_ms["nothing"] >= 0


def test_a_picture_comes_only_when_it_is_asked_for():
    assert next(watch("demo:")).picture is None
    picture = next(watch("demo:", picture_px=320)).picture

    assert picture.shape == (180, 320, 3)


@pytest.mark.parametrize(
    ("source", "options"),
    [
        pytest.param("rtmp://door", {}, id="source"),
        pytest.param("file:missing.mp4", {}, id="file"),
        pytest.param("demo:", {"score_treshold": 0.4}, id="option"),
        pytest.param("demo:", {"model": "missing.tflite"}, id="model"),
    ],
)
def test_what_is_wrong_with_the_call_is_said_by_the_call(source, options):
    with pytest.raises(ConfigError):
        watch(source, **options)


def test_a_model_that_is_called_has_no_use_for_workers():
    with pytest.raises(
        ConfigError, match=r"one image at a time; leave workers out, or use edge\.w"
    ):
        open_model(workers=2)


def test_a_loop_over_several_interpreters_keeps_the_order_of_the_frames():
    seen = [found.sequence for found in watch(f"images:{SCENES_FOLDER}", workers=2)]

    assert len(seen) > 1
    assert seen == list(range(len(seen)))


def test_a_failure_on_the_way_is_raised_in_the_loop(tmp_path):
    class Failing:
        name = "failing"

        def process(self, observation):
            raise EdgeError("the stage has had enough")

    with pytest.raises(EdgeError, match="had enough"):
        list(watch("demo:", stages=[Failing()]))
    assert threads_of_ours() == set()


def test_every_public_name_can_be_imported_and_nothing_else_is_promised():
    assert all(getattr(edge, name) for name in edge.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Pipeline'"):
        _ = edge.Pipeline
