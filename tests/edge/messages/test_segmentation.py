"""The message of a segmenter's frame: its areas, its runs, and how large it can become."""

from __future__ import annotations

import json
import typing
from itertools import pairwise

import jsonschema
import numpy as np
import pytest
from factories import LABELS, class_map, observation, segmentation_encoder
from hypothesis import given
from hypothesis import strategies as st

from edge.messages.schema import schema
from edge.messages.segmentation import MAX_RUNS, SegmentationPayload
from edge.results.class_map import ClassMap
from edge.results.observation import STAGES

pytestmark = pytest.mark.board

VALIDATOR = jsonschema.Draft202012Validator(schema())
STAGE_MS = {stage: 1.5 for stage in STAGES if stage != "suppress"}
CLASSES = len(LABELS)


def seen(result):
    return observation(result=result, stage_ms=STAGE_MS)


def decoded(grid):
    """Return the map of a message, by the book."""
    pairs = iter(grid["runs"])
    cells = [class_id for class_id in pairs for _ in range(next(pairs))]
    return np.array(cells).reshape(grid["height"], grid["width"])


@st.composite
def class_maps(draw):
    """Return a map that may be a view between bars, of patches as large as chance has them."""
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    patches = random.integers(0, CLASSES, (height, width), np.uint8)
    repeat = draw(st.integers(1, 3))
    left = draw(st.integers(0, width * repeat - 1))
    return ClassMap(patches.repeat(repeat, axis=1)[:, left:], (640, 360))


@given(class_maps())
def test_every_message_fits_the_schema_and_has_no_field_beside_it(result):
    message = json.loads(segmentation_encoder().encode(seen(result)))
    VALIDATOR.validate(message)
    assert set(message) == set(typing.get_type_hints(SegmentationPayload))


@given(class_maps())
def test_the_map_comes_back_from_its_runs(result):
    grid = json.loads(segmentation_encoder().encode(seen(result)))["class_map"]
    assert (decoded(grid) == result.class_ids).all()
    class_ids = grid["runs"][::2]
    assert all(first != second for first, second in pairwise(class_ids))


@given(class_maps(), st.sampled_from([None, 0, 2]))
def test_areas_are_shares_of_all_cells_by_falling_area_without_the_background(result, background):
    areas = json.loads(segmentation_encoder(background=background).encode(seen(result)))["areas"]
    for area in areas:
        cells = int((result.class_ids == area["class_id"]).sum())
        assert cells > 0
        assert area["area_ratio"] == pytest.approx(cells / result.class_ids.size, abs=0.501e-5)
        assert area["label"] == LABELS[area["class_id"]]
    present = set(result.class_ids.reshape(-1).tolist()) - {background}
    assert {area["class_id"] for area in areas} == present
    ratios = [area["area_ratio"] for area in areas]
    assert ratios == sorted(ratios, reverse=True)


def test_without_the_class_map_a_message_has_only_the_areas():
    message = json.loads(segmentation_encoder(class_map=False).encode(seen(class_map())))
    VALIDATOR.validate(message)
    assert "class_map" not in message
    assert message["areas"]


@pytest.mark.parametrize(
    ("height", "width"),
    [
        pytest.param(256, 256, id="256 x 256"),
        pytest.param(513, 513, id="513 x 513"),
        pytest.param(1, 100_000, id="one row"),
        pytest.param(1024, 1024, id="a million cells"),
    ],
)
def test_a_map_of_noise_becomes_coarser_until_its_runs_are_few_enough(height, width):
    ids = np.random.default_rng(4).integers(0, 256, (height, width), np.uint8)
    labels = [str(number) for number in range(256)]
    encode = segmentation_encoder(labels, background=None)
    encoded = encode.encode(seen(ClassMap(ids, (1280, 720))))
    message = json.loads(encoded)
    grid = message["class_map"]
    assert len(grid["runs"]) <= 2 * MAX_RUNS
    assert decoded(grid).size > MAX_RUNS / 8  # no coarser than it must be
    assert len(encoded) <= 56 * 1024
    # The areas are those of the map as it was decoded.
    assert len(message["areas"]) == 256


def test_a_coarse_map_keeps_large_shapes_where_they_are():
    ids = np.random.default_rng(4).integers(0, 2, (256, 256), np.uint8)
    ids[64:192, 32:128] = 2
    grid = json.loads(segmentation_encoder().encode(seen(ClassMap(ids, (640, 640)))))["class_map"]
    rows, columns = (decoded(grid) == 2).nonzero()
    for found, cells, first, end in (
        (rows, grid["height"], 64, 192),
        (columns, grid["width"], 32, 128),
    ):
        assert found.min() / cells == pytest.approx(first / 256, abs=1 / cells)
        assert (found.max() + 1) / cells == pytest.approx(end / 256, abs=1 / cells)


def test_the_same_map_gives_the_same_bytes():
    assert segmentation_encoder().encode(seen(class_map())) == segmentation_encoder().encode(
        seen(class_map())
    )


def test_a_time_that_is_not_finite_is_an_error():
    broken = observation(result=class_map(), stage_ms=STAGE_MS | {"invoke": float("nan")})
    with pytest.raises(ValueError, match="invoke must take a finite time"):
        segmentation_encoder().encode(broken)
