"""What a model's heads hold is compared with the calibration images, over minutes."""

from __future__ import annotations

import factories
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edge.model.description import HeadSight, Sight
from edge.results.health import Look
from edge.stages.world import LEARN_S, NOW_S, World, distance, is_grey, overexposed, shares

pytestmark = pytest.mark.board


def head(*, mean, seed=0):
    values = np.random.default_rng(seed).normal(mean, 20, (1, 500, 4)).clip(-128, 127)
    return values.astype(np.int8)


def sight_of(*heads, spread=0.1):
    mean = np.mean([shares(each) for each in heads], axis=0)
    lowest, *parts, highest = mean.tolist()
    told = HeadSight(
        histogram=tuple(parts), lowest_ratio=lowest, highest_ratio=highest, spread=spread
    )
    return Sight(images=len(heads), saturated_ratio=0, clipped_ratio=0.1, heads={"scores": told})


SIGHT = sight_of(*(head(mean=0, seed=seed) for seed in range(8)))


def judged(world, *, mean, seconds, step_s=10):
    told = ""
    for second in range(0, seconds, step_s):
        told = world.judge({"scores": head(mean=mean, seed=second)}, step_s)
    return told


@given(arrays.arrays(np.int8, st.integers(1, 3000)))
def test_shares_are_those_of_all_values(values):
    found = shares(values)

    assert found[0] == pytest.approx(np.mean(values == -128))
    assert found[-1] == pytest.approx(np.mean(values == 127))
    expected = [np.mean((values.astype(int) + 128) // 16 == part) for part in range(16)]
    assert found[1:-1] == pytest.approx(np.array(expected))
    assert shares(values.view(np.uint8) ^ 0x80) == pytest.approx(found)


@given(arrays.arrays(np.int8, st.integers(1, 300)), arrays.arrays(np.int8, st.integers(1, 300)))
def test_a_distance_is_symmetric_between_0_and_1_and_0_of_the_same(a, b):
    found = distance(shares(a), shares(b))

    assert 0 <= found <= 1 + 1e-9
    assert found == distance(shares(b), shares(a))
    assert distance(shares(a), shares(a)) == 0


def test_heads_without_8_bits_are_not_judged():
    assert shares(np.zeros(9, np.float32)) is None
    assert World().judge({"scores": np.zeros(9, np.float32)}, 1) == ""


def test_what_the_calibration_images_showed_is_not_strange():
    assert judged(World.of(SIGHT), mean=0, seconds=1200) == ""


def test_another_world_is_strange_after_minutes_and_not_at_once():
    world = World.of(SIGHT)

    assert judged(world, mean=60, seconds=int(NOW_S) - 20) == ""
    assert "'scores'" in judged(world, mean=60, seconds=300)


def test_another_world_for_a_moment_is_not():
    world = World.of(SIGHT)
    judged(world, mean=0, seconds=600)

    assert judged(world, mean=60, seconds=10) == ""


def test_without_a_manifest_the_first_hour_is_learned():
    world = World.of(None)

    assert judged(world, mean=60, seconds=int(LEARN_S)) == ""
    assert judged(world, mean=60, seconds=1200) == ""
    assert judged(world, mean=-60, seconds=1200)


def look(**changes):
    cells = np.zeros((24, 32), np.float32)
    fields = {"level": 90, "colour": 30, "clipped_ratio": 0, "fine": 5, "coarse": 5}
    return Look(cells=cells, edges=np.stack([cells, cells]), **fields | changes)


def test_a_picture_without_colour_is_grey():
    assert is_grey(look(colour=1))
    assert not is_grey(look())


def test_too_much_black_and_white_is_strange_beside_the_calibration_images():
    assert overexposed(0.3, SIGHT) == ""
    assert "10%" in overexposed(0.5, SIGHT)
    assert overexposed(1.0, None) == ""


def test_a_manifest_tells_it_and_an_older_one_does_not():
    assert factories.manifest(sight=SIGHT).description(None).sight == SIGHT
    assert factories.manifest().description(None).sight is None
