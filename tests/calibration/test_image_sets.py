"""Train, calibrate, select, judge: by a stated rule, the same again, no image in two."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from calibration.dataset import image_set, sample
from calibration.image_sets import draw_sets, share_out, without
from edge.errors import SourceError

pytestmark = pytest.mark.board


@pytest.fixture
def folder(tmp_path):
    """Return a folder of twelve images that do not resemble each other."""
    for number in range(12):
        coarse = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        smooth = cv2.resize(coarse, (64, 48), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / f"{number}.png"), smooth)
    return tmp_path


@pytest.mark.parametrize(
    ("images", "counts"),
    [
        (3, (1, 1, 1)), (20, (6, 4, 10)), (48, (14, 10, 24)), (100, (30, 20, 50)),
        (200, (60, 40, 100)), (1000, (100, 40, 100)),
    ],
)  # fmt: skip
def test_images_are_shared_out_by_a_stated_rule(images, counts):
    assert share_out(images) == counts


def test_a_count_to_calibrate_with_leaves_the_rest_to_choose_and_judge_by():
    assert share_out(12, calibrate=5) == (5, 2, 5)
    assert share_out(100, calibrate=30, judge=10) == (30, 20, 10)


def test_the_sets_share_no_image_and_are_the_same_again(folder):
    first, second = (draw_sets(folder, seed=3, judge=4) for _ in range(2))
    parts = [first.calibrate, first.select, first.judge]

    assert first == second
    assert [len(part.paths) for part in parts] == [3, 3, 4]
    paths = [path for part in parts for path in part.paths]
    assert len(set(paths)) == len(paths)
    for part in parts:
        assert part.digest == image_set(folder, part.paths, seed=3).digest


def test_too_few_images_for_three_sets_are_refused(folder):
    with pytest.raises(SourceError, match=r"expected 14 images or more.*or lower --count"):
        draw_sets(folder, seed=0, calibrate=12)


def test_images_that_are_known_are_left_out(folder):
    sets = draw_sets(folder, seed=0)
    known = {content[:16] for content in sets.calibrate.contents}

    others = without(folder, count=99, seed=0, known=known)

    assert set(others.paths) == set(sample(folder, count=12, seed=0).paths) - set(
        sets.calibrate.paths
    )
    everything = {content[:16] for content in sample(folder, count=12, seed=0).contents}
    with pytest.raises(SourceError, match="that the model was not made with"):
        without(folder, count=9, seed=0, known=everything)
