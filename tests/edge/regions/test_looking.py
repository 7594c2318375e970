"""A detector that looks at regions, on frames of a source, through the pipeline."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace

import cv2
import factories
import numpy as np
import pytest
from yuv_pictures import picture, whole

from edge import app
from edge.capture.latest import CaptureThread, Turns
from edge.capture.picture import Picture, Scaler
from edge.config.reading import parse
from edge.config.sections import Tracking
from edge.cores import available_cores
from edge.errors import ConfigError
from edge.frame import StageClock
from edge.model import model_file
from edge.model.default import default_model_path
from edge.model.loaded import load_model
from edge.pipeline import Behaviour, Pipeline, Worker
from edge.regions.looking import RegionModel, cropped
from edge.regions.plan import Region
from edge.stages.tracking import Tracker
from edge.tasks import refuse_regions

pytestmark = pytest.mark.board

SIZE_WH = (1280, 720)
CAT = default_model_path().parents[2] / "capture" / "scenes" / "chelsea.jpg"
RATE_HZ = 30


class SmallCat:
    """Obeys `Source`: a grey wall, past which a small photograph of a cat goes, and then rests."""

    live = False

    def __init__(self, frames, *, moving=0):
        rng = np.random.default_rng(3)
        self._wall = rng.integers(118, 122, (720, 1280, 3), np.uint8)
        self._cat = cv2.resize(cv2.imread(str(CAT)), (90, 60), interpolation=cv2.INTER_AREA)
        self._frames, self._moving = frames, moving
        self.number = 0

    def read(self, buffer):
        if self.number == self._frames:
            return None
        image = self._wall.copy()
        x = 300 + 4 * min(self.number, self._moving)
        image[400:460, x : x + 90] = self._cat
        self.number += 1
        file_ns = round((self.number - 1) * 1e9 / RATE_HZ)
        return Picture.taken(image, time.monotonic_ns(), file_ns=file_ns)

    def interrupt(self):
        self._frames = self.number

    close = interrupt


def regions(workers=1, **changes):
    config = parse({"regions": changes, "model": {"workers": workers}})
    file = model_file.read(default_model_path())
    return [RegionModel(load_model(file), config) for _ in range(workers)]


def run(models, *sources, slowly=0.0):
    """Return what is seen, by camera."""
    seen = {f"camera {number}": [] for number in range(len(sources))}

    def consume(observation):
        time.sleep(slowly)
        kept = replace(observation, result=observation.result.copy())
        seen[observation.camera].append(kept)

    captures = [
        CaptureThread(source, models[0].input_buffers(), camera=name)
        for name, source in zip(seen, sources, strict=True)
    ]
    for capture in captures:
        capture.changed = captures[0].changed
        capture.start()
    try:
        workers = [Worker(model, available_cores()) for model in models]
        turns = Turns(captures)
        Pipeline(turns, Behaviour(models[0]), [consume], workers=workers).run()
    finally:
        for capture in captures:
            capture.stop()
    return seen


def labels(model, observation):
    return [model.description.labels[number] for number in observation.result.class_ids]


@pytest.fixture(scope="module")
def seen_once():
    return run(regions(), SmallCat(150, moving=60))["camera 0"]


def test_a_small_cat_is_found_that_the_whole_frame_does_not_show(seen_once):
    (model,) = regions()
    alone = load_model(model_file.read(default_model_path()))(SmallCat(1).read(None).pixels)

    assert "cat" not in [model.description.labels[number] for number in alone.class_ids]
    assert sum("cat" in labels(model, each) for each in seen_once) > 30


def test_its_box_lies_where_it_is(seen_once):
    (model,) = regions()

    for each in seen_once:
        x = 300 + 4 * min(each.sequence, 60)
        for box, label in zip(each.result.boxes, labels(model, each), strict=True):
            if label == "cat":
                assert abs(box - (x, 400, x + 90, 460)).max() < 40


def test_what_rests_stays_in_sight_and_most_frames_are_left_out(seen_once):
    (model,) = regions()
    last = [each for each in seen_once if each.sequence > 110]

    assert all("cat" in labels(model, each) for each in last)
    assert len(last) <= 6
    assert any(each.stage_ms["invoke"] == 0 for each in last)  # exactly: it was not invoked


def test_a_track_lives_on_through_the_frames_that_are_left_out(seen_once):
    (model,) = regions()
    tracker = Tracker(Tracking(), 0.5, {})

    followed = [tracker.process(each) for each in seen_once]

    ids = {
        each.track_id
        for seen in followed
        for each in seen.result
        if model.description.labels[each.class_id] == "cat"
    }
    assert len(ids) == 1


def test_same_frames_same_results_however_slow_the_consumer(seen_once):
    again = run(regions(), SmallCat(36, moving=60), slowly=0.01)["camera 0"]

    for one, other in zip(seen_once, again, strict=False):
        assert one.sequence == other.sequence
        assert one.result.boxes.tolist() == other.result.boxes.tolist()
        assert one.result.scores.tolist() == other.result.scores.tolist()


def test_two_cameras_and_two_workers_see_what_one_sees(seen_once):
    seen = run(regions(2), SmallCat(36, moving=60), SmallCat(36, moving=60))

    (model,) = regions()
    for each in seen.values():
        assert [one.sequence for one in each] == sorted(one.sequence for one in each)
        assert sum("cat" in labels(model, one) for one in each) > 10


def test_a_changed_threshold_makes_a_model_that_looks_at_regions_too():
    (model,) = regions()

    changed = model.with_thresholds(score=0.9)

    assert isinstance(changed, RegionModel)
    assert changed.thresholds.score == 0.9


def test_what_only_the_tracks_ask_for_is_told_and_no_reason_to_look_closer():
    """With `[tracking]` the decoder lets scores of 0.1 pass."""
    (model,) = regions()
    low = model.with_thresholds(score=0.05)
    buffer, tensors = low.input_buffer(), low.output_buffers()
    buffer.fill(SmallCat(1).read(None))
    low.invoke(buffer, out=tensors)

    found = low.decode(tensors, buffer.placement, StageClock())

    planner = buffer.placement.scene.planner
    ((_, boxes, _),) = planner._told
    assert len(found) > len(boxes)
    assert len(boxes) == (found.scores >= model.thresholds.score).sum()


def test_a_plan_of_a_frame_that_was_replaced_is_made_again():
    (model,) = regions()
    first, second, _ = model.input_buffers()
    source = SmallCat(3)

    assert first.fill(source.read(None)) is False
    planned = first.placement.plan
    assert first.fill(source.read(None)) is False
    assert first.placement.plan.looks == planned.looks

    first.taken()
    assert second.fill(source.read(None)) is True  # nothing moves, and the frame was seen


@pytest.mark.parametrize("kind", ["bgr", "nv12", "i420", "j420", "yuyv", "grey"])
@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_a_cropped_picture_is_that_part_of_the_image(kind, rotate):
    rng = np.random.default_rng(5)
    image = cv2.resize(rng.integers(0, 255, (6, 8, 3), np.uint8), (160, 96))
    source = replace(picture(image, kind), rotate=rotate)
    region = Region(10, 20, 30, 24)
    scratch = np.empty(source.pixels.size, np.uint8)

    part = cropped(source, region, scratch)

    assert part.size_wh == (30, 24)
    upright = np.rot90(whole(replace(source, rotate=0)), -rotate // 90)
    out = np.empty((24, 30, 3), np.uint8)
    Scaler("bgr").scale(part, out=out)
    expected = upright[20:44, 10:40].astype(int)
    assert np.abs(out[2:-2, 2:-2] - expected[2:-2, 2:-2]).mean() < 3
    assert cropped(source, Region(0, 0, *source.size_wh), scratch) is source


def test_the_first_frame_is_looked_at_whatever_the_budget():
    seen = run(regions(invokes_per_frame=0.05), SmallCat(5))["camera 0"]

    assert [each.sequence for each in seen] == [0]
    assert seen[0].stage_ms["invoke"] > 0.5


def test_an_app_with_the_section_runs_it_and_one_without_loads_none_of_it():
    with app.opened(parse({"regions": {}}), publish=False) as parts:
        assert isinstance(parts.model, RegionModel)
    with app.opened(parse({}), publish=False) as parts:
        assert not isinstance(parts.model, RegionModel)


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        pytest.param({"invokes_per_frame": 0}, "invokes_per_frame", id="no invokes"),
        pytest.param({"sweep_s": 0}, "sweep_s", id="no time"),
        pytest.param({"zoom": 2}, "zoom", id="unknown"),
    ],
)
def test_a_section_with_faults_is_refused(section, fault):
    with pytest.raises(ConfigError, match=fault):
        parse({"regions": section})


def test_a_sensor_that_sees_the_whole_frame_is_refused_regions():
    with pytest.raises(ConfigError, match="leave the section out"):
        parse({"model": {"file": "net.rpk", "delegate": "imx500"}, "regions": {}})


def test_a_camera_has_its_own_masks():
    corners = [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]
    config = parse(
        {
            "regions": {},
            "camera": {"name": "door"},
            "mask": [{"polygon": corners, "camera": "door"}],
        }
    )
    model = RegionModel(load_model(model_file.read(default_model_path())), config)

    counted = []
    for camera in ("door", "yard"):
        buffer, *_ = model.input_buffers(camera)
        buffer.fill(SmallCat(1).read(None))
        counted.append(buffer._scene.grid._counts.mean())

    assert counted == pytest.approx([0.5, 1.0], abs=0.02)


def test_a_model_that_finds_no_boxes_alone_is_refused_regions():
    spec = factories.segmentation_spec(factories.tensor("map", (1, 12, 20, 2)))

    with pytest.raises(ConfigError, match="models for detection, and tiny is a model for segm"):
        refuse_regions(spec.description)


def test_without_the_section_none_of_it_is_loaded():
    text = (
        "import sys\nfrom edge import app\nfrom edge.config.reading import parse\n"
        "with app.opened(parse({}), publish=False): pass\n"
        "print([name for name in sys.modules if name.startswith('edge.regions')])"
    )

    ran = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"
