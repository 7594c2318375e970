"""What counts as motion, and what doesn't."""

from __future__ import annotations

import numpy as np
import pytest
from yuv_pictures import picture

from edge.capture.picture import Picture
from edge.regions.motion import MotionGrid, grey_grid

pytestmark = pytest.mark.board

SIZE_WH = (480, 270)
RATE_HZ = 30
RANDOM = np.random.default_rng(7)
GROUND = np.repeat(RANDOM.uniform(60, 140, (9, 16)), 30, axis=0).repeat(30, axis=1)
NOISE = [RANDOM.normal(0, 4, GROUND.shape) for _ in range(7)]


def frame(number, *, square_xy=None, light=1.0, noise=1.0):
    """Return a noisy picture of the ground, in this light, with a square of 20 px where wanted."""
    image = GROUND.copy()
    if square_xy:
        x, y = square_xy
        image[y : y + 20, x : x + 20] = 220
    image = image * light + noise * NOISE[number % len(NOISE)]
    grey = image.round().clip(0, 255).astype(np.uint8)
    return Picture(np.repeat(grey[..., None], 3, axis=2), 0, 0, 0)


def watched(pictures):
    """Return the motion in each picture but the first, at 30 Hz."""
    grid = MotionGrid()
    found = [grid.motion(each, number / RATE_HZ) for number, each in enumerate(pictures)]
    assert found[0].all()
    return found[1:]


def test_noise_is_no_motion():
    found = watched([frame(number) for number in range(90)])

    assert sum(each.sum() for each in found) == 0


def test_what_comes_moves_where_it_is_and_nowhere_else():
    still = [frame(number) for number in range(30)]
    moving = [frame(30 + step, square_xy=(40 + 6 * step, 100)) for step in range(40)]

    for step, seen in enumerate(watched([*still, *moving])[29:]):
        rows, columns = np.nonzero(seen)
        x = 40 + 6 * step
        assert seen[22, (x + 10) // 5]  # cells of 5 px
        assert (abs(rows * 5 + 2.5 - 110) < 15).all()
        assert (abs(columns * 5 + 2.5 - (x + 10)) < 15).all()  # and leaves no trail


def test_what_has_come_to_rest_is_soon_a_part_of_the_ground():
    still = [frame(number) for number in range(30)]
    resting = [frame(number, square_xy=(200, 100)) for number in range(150)]

    found = watched([*still, *resting])[29:]

    assert all(each.any() for each in found[:15])
    assert not any(each.any() for each in found[-15:])


def test_light_that_changes_everywhere_is_no_motion():
    clouds = [frame(number, light=1 + 0.3 * np.sin(number / 8)) for number in range(120)]

    assert sum(each.sum() for each in watched(clouds)) == 0


def test_a_picture_that_is_wholly_another_is_said_so_once():
    before = [frame(number) for number in range(30)]
    after = frame(0).pixels[::-1, ::-1]

    found = watched([*before, *[Picture(after, 0, 0, 0)] * 10])[29:]

    assert found[0].all()
    assert not any(each.any() for each in found[1:])


def test_the_same_in_few_frames_moves_as_long_as_in_many():
    """At 5 Hz as at 30: shares of a difference go by time."""
    counts = []
    for rate_hz in (5, 30):
        grid = MotionGrid()
        for number in range(rate_hz):
            grid.motion(frame(number), number / rate_hz)
        seen = [
            grid.motion(frame(number, square_xy=(200, 100)), 1 + number / rate_hz).any()
            for number in range(6 * rate_hz)
        ]
        counts.append(sum(seen) / rate_hz)

    assert abs(counts[0] - counts[1]) < 0.5


@pytest.mark.parametrize("kind", ["bgr", "nv12", "i420", "j420", "yuyv", "grey"])
@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_the_grid_lies_on_the_image_as_it_is_turned(kind, rotate):
    image = np.full((216, 384, 3), 40, np.uint8)
    image[:54, :96] = 200  # a quarter of each side: the corner at the top left, before it is turned
    source = picture(image, kind)

    grid = grey_grid(Picture(source.pixels, 0, 0, 0, kind, rotate=rotate))

    corner = np.rot90(np.pad(np.ones((13, 24)), ((0, 41), (0, 72))), -rotate // 90) > 0
    assert grid.shape == corner.shape
    assert grid[corner].min() > 150
    assert np.median(grid[~corner]) < 60


def test_what_moves_below_a_mask_counts_for_nothing():
    grid = MotionGrid([[(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]])
    for number in range(30):
        grid.motion(frame(number), number / RATE_HZ)

    masked = grid.motion(frame(1, square_xy=(100, 100)), 1)
    beside = grid.motion(frame(2, square_xy=(300, 100)), 1.03)

    assert not masked.any()
    assert beside.any()


def test_a_camera_that_is_turned_is_seen_as_such_beside_a_large_mask():
    grid = MotionGrid([[(0.0, 0.0), (0.7, 0.0), (0.7, 1.0), (0.0, 1.0)]])
    for number in range(30):
        grid.motion(frame(number), number / RATE_HZ)

    turned = grid.motion(Picture(frame(0).pixels[::-1, ::-1], 0, 0, 0), 1)

    assert turned.all()
