"""Odd and uncertain frames are kept within the budgets, and what must not be seen never is."""

from __future__ import annotations

import errno
import json
import stat
from dataclasses import replace

import cv2
import factories
import numpy as np
import pytest

from edge.capture.images import list_images, load_image
from edge.config.sections import Config
from edge.config.selfcheck import Harvest
from edge.errors import ConfigError
from edge.results.class_map import ClassMap
from edge.results.detections import Detections
from edge.results.observation import Health
from edge.stages.harvest import HarvestStage, check
from edge.stages.registry import STAGES, Setting

pytestmark = pytest.mark.board

NS = 1_000_000_000
PICTURE = np.full((48, 64, 3), 90, np.uint8)
SURE, UNSURE = 0.9, 0.55


class Kept:
    """A stage, the pictures that it asks for, and what it has written."""

    def __init__(self, folder, **changes):
        self.wishes = []
        settings = Harvest(folder=folder, **{"baseline_ratio": 0.0, "exclude": (), **changes})
        self.folder = folder
        self.memory = {}
        spec = factories.ssd_spec(
            boxes=factories.tensor("boxes", (1, factories.ANCHOR_COUNT, 4)),
            scores=factories.tensor("scores", (1, factories.ANCHOR_COUNT, len(factories.LABELS))),
        )
        self.labels = spec.description.labels
        given = Setting(
            Config(), spec.description, spec.description.thresholds(), self.memory, self.ask
        )
        self.stage = HarvestStage(settings, given)

    def ask(self, camera, max_side_px):
        wish = (camera, max_side_px)
        self.wishes.append(wish)
        return lambda: self.wishes.remove(wish)

    def sees(self, at_s, *, score=SURE, class_id=0, picture_of=PICTURE, **changes):
        """Show a frame, with a picture if one is asked for."""
        found = Detections(
            np.array([[1, 1, 9, 9]], np.float32),
            np.array([score], np.float32),
            np.array([class_id], np.int32),
        )
        seen = factories.observation(source_ns=at_s * NS, captured_utc_ns=at_s * NS, result=found)
        seen = replace(seen, **changes)
        is_wished = any(camera == seen.camera for camera, _ in self.wishes)
        self.stage.process(replace(seen, picture=picture_of if is_wished else None))

    def files(self):
        self.memory["store"].waiting.join()
        return sorted(path.name for path in self.folder.iterdir())


def test_an_uncertain_frame_is_kept_as_an_image_and_what_was_seen(tmp_path):
    kept = Kept(tmp_path / "kept")
    kept.sees(100, score=UNSURE)
    assert kept.wishes == [("front", 1280)]
    kept.sees(101, score=UNSURE)

    name = "1970-01-01T00-01-41.000000Z_front"
    assert kept.files() == [f"{name}.jpg", f"{name}.json"]
    assert kept.wishes == []
    assert cv2.imread(str(kept.folder / f"{name}.jpg")).shape == PICTURE.shape
    fields = json.loads((kept.folder / f"{name}.json").read_text())
    assert fields["kept_for"] == "uncertain"
    assert fields["detections"][0]["score"] == pytest.approx(UNSURE)
    assert stat.S_IMODE(kept.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((kept.folder / f"{name}.jpg").stat().st_mode) == 0o600


def test_a_sure_frame_asks_for_nothing(tmp_path):
    kept = Kept(tmp_path / "kept")
    for at_s in range(20):
        kept.sees(at_s)

    assert kept.wishes == []
    assert kept.files() == []


def test_a_wish_ends_when_no_frame_fits_any_more(tmp_path):
    kept = Kept(tmp_path / "kept")
    kept.sees(0, score=UNSURE)
    kept.sees(1)

    assert kept.wishes == []
    assert kept.files() == []


def test_no_frame_of_an_excluded_label_is_kept(tmp_path):
    kept = Kept(tmp_path / "kept", exclude=("class 1",))
    for at_s in range(5):
        kept.sees(at_s, score=UNSURE, class_id=1)
    kept.sees(10, score=UNSURE)
    kept.sees(11, score=UNSURE, class_id=1)  # it came before the picture

    assert kept.files() == []


def test_a_strange_frame_is_kept_and_two_are_a_minute_apart(tmp_path):
    kept = Kept(tmp_path / "kept")
    for at_s in range(130):
        kept.sees(at_s, health=Health("strange", "", 0))

    assert [name[11:19] for name in kept.files() if name.endswith("jpg")] == [
        *("00-00-01", "00-01-02", "00-02-03"),
    ]


def test_a_day_has_a_budget_which_a_restart_does_not_renew(tmp_path):
    folder = tmp_path / "kept"
    for start_s in (0, 3600):  # a run, and another one
        kept = Kept(folder, per_day=2)
        for at_s in range(start_s, start_s + 600, 30):
            kept.sees(at_s, score=UNSURE)
        assert len(kept.files()) == 2 * 2
    for at_s in range(86_400, 86_500):
        kept.sees(at_s, score=UNSURE)

    assert len(kept.files()) == 4 * 2


def test_the_oldest_make_room(tmp_path):
    kept = Kept(tmp_path / "kept", max_mib=1, per_day=1000)
    noise = np.random.default_rng(0).integers(0, 255, (400, 600, 3), np.uint8)
    for at_s in range(0, 900, 20):
        kept.sees(at_s, picture_of=noise, score=UNSURE)
        kept.files()

    names = kept.files()
    total = sum((kept.folder / name).stat().st_size for name in names)
    assert total <= 2**20
    assert names[-1].startswith("1970-01-01T00-13-40")
    assert not names[0].startswith("1970-01-01T00-00")


def test_some_are_kept_whatever_they_show_evenly_over_the_day(tmp_path):
    kept = Kept(tmp_path / "kept", per_day=10, baseline_ratio=0.4)
    for at_s in range(0, 86_400, 600):
        kept.sees(at_s)
        kept.sees(at_s + 1)

    assert len(kept.files()) == 4 * 2


def test_a_frame_that_a_filter_or_mask_hides_an_excluded_label_from_is_not_kept():
    assert list(STAGES).index("harvest") < list(STAGES).index("filter")


def test_a_class_map_that_shows_an_excluded_label_is_not_kept(tmp_path):
    kept = Kept(tmp_path / "kept", exclude=("Class 1",), baseline_ratio=1.0)
    shown = np.zeros((8, 8), np.uint8)
    shown[2, 3] = 1
    kept.sees(0, result=ClassMap(shown, (64, 48)))
    assert kept.wishes == []
    kept.sees(1, result=ClassMap(np.zeros((8, 8), np.uint8), (64, 48)))
    assert kept.wishes


def test_a_label_that_the_model_does_not_know_is_told(tmp_path, caplog):
    Kept(tmp_path / "kept", exclude=("person",))

    assert "no label person" in caplog.text


def test_a_day_is_not_spent_in_its_first_hour(tmp_path):
    kept = Kept(tmp_path / "kept", per_day=20)
    hours = []
    for at_s in range(0, 86_400, 120):
        before = kept.memory["store"]._days[0]
        kept.sees(at_s, score=UNSURE)
        hours += [at_s // 3600] * (kept.memory["store"]._days[0] - before)
        kept.files()

    assert len(hours) == 20
    assert hours.count(0) <= 4
    assert hours[-1] >= 18


def test_a_clock_that_goes_back_and_forth_renews_no_day(tmp_path):
    kept = Kept(tmp_path / "kept", per_day=2)
    for day in (0, 5, 0, 5, 0):
        for at_s in range(day * 86_400, day * 86_400 + 900, 30):
            kept.sees(at_s, score=UNSURE)
            kept.files()

    assert len(kept.files()) == 2 * 2 * 2


def test_a_restart_brings_no_baseline_frame_of_its_own(tmp_path):
    for start_s in range(0, 3000, 600):
        kept = Kept(tmp_path / "kept", baseline_ratio=0.2)
        for at_s in range(start_s, start_s + 100):
            kept.sees(at_s)
        kept.files()

    assert len(kept.files()) == 2


def test_cameras_share_the_baseline(tmp_path):
    kept = Kept(tmp_path / "kept", per_day=10, baseline_ratio=0.4)
    for at_s in range(0, 86_400, 600):
        for second in range(2):
            for camera in ("a", "b", "c", "d"):
                kept.sees(at_s + second, camera=camera)
                kept.files()

    assert len(kept.files()) == 4 * 2


def test_files_of_others_are_neither_counted_nor_removed(tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir(mode=0o700)
    (folder / ".profile").write_bytes(bytes(2**21))
    (folder / "1.jpg").write_bytes(b"mine")
    kept = Kept(folder, max_mib=1)
    kept.sees(0, score=UNSURE)
    kept.sees(1, score=UNSURE)

    assert len(kept.files()) == 2 + 2


def test_a_disk_that_is_full_leaves_nothing_behind(tmp_path, monkeypatch, caplog):
    kept = Kept(tmp_path / "kept")

    def full(_file):
        raise OSError(errno.ENOSPC, "")

    monkeypatch.setattr("edge.stages.harvest.os.fsync", full)
    kept.sees(0, score=UNSURE)
    kept.sees(1, score=UNSURE)

    assert kept.files() == []
    assert "No space left" in caplog.text


def test_a_picture_that_others_want_larger_is_reduced_and_can_calibrate(tmp_path):
    kept = Kept(tmp_path / "kept", max_side_px=64)
    kept.sees(0, score=UNSURE)
    kept.sees(1, score=UNSURE, picture_of=np.full((480, 640, 3), 90, np.uint8))

    kept.files()
    (image,) = list_images(kept.folder)
    assert load_image(image).shape == (48, 64, 3)


def test_a_folder_that_others_may_read_or_that_is_none_is_refused(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "file").touch(mode=0o600)

    with pytest.raises(ConfigError, match="chmod 700"):
        check(Harvest(folder=tmp_path))
    with pytest.raises(ConfigError, match="name another"):
        check(Harvest(folder=tmp_path / "file"))
    check(Harvest(folder=tmp_path / "new"))
