"""People of a real clip are counted as they cross a line."""

from __future__ import annotations

import bench_crossings
import pytest


@pytest.mark.assets
@pytest.mark.slow
def test_of_two_people_in_the_first_300_frames_one_has_crossed_and_each_has_one_id(assets):
    clip = assets / "video" / "one-by-one-person-detection.mp4"
    # The other one still stands in front of the camera.
    assert bench_crossings.count(clip, frames=300) == (1, [1, 2])
