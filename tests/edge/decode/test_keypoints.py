"""Keypoints against arithmetic and a slow float reference."""

from __future__ import annotations

import warnings

import drawn_grids
import factories
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import instance_float
from reference.float_heads import real_values, sigmoid

from edge.decode.anchor_free import AnchorFreeGrid, AnchorFreeHead
from edge.decode.checks import Misfit
from edge.decode.keypoints import COCO_KEYPOINTS, COCO_SKELETON, KeypointsHead
from edge.frame import Placement, StageClock
from edge.heads import HEADS
from edge.model.description import Thresholds
from edge.model.quant import Quant
from edge.record import Unsound, read

pytestmark = pytest.mark.board

INPUT_WH = (64, 32)
STRIDES = (16, 32)
BOXES = AnchorFreeHead(
    grids=tuple(AnchorFreeGrid(boxes=f"b{s}", scores=f"s{s}", stride_px=s) for s in STRIDES),
    boxes="distances",
)
HEAD = KeypointsHead(boxes=BOXES, keypoints=("k16", "k32"), names=("head", "tail"))
PLACEMENT = Placement.fit((640, 480), INPUT_WH, resize="letterbox")
FLOAT = {"dtype": np.dtype(np.float32), "quant": Quant()}


def spec_of(head=HEAD, **described):
    shapes = {}
    for stride in STRIDES:
        cells = (1, INPUT_WH[1] // stride, INPUT_WH[0] // stride)
        shapes |= {f"b{stride}": (*cells, 4), f"s{stride}": (*cells, 1)}
        shapes[f"k{stride}"] = (*cells, head.width)
    return drawn_grids.spec_of(head, shapes, classes=1, input_wh=INPUT_WH, **described)


def decode(spec, tensors, placement=PLACEMENT, *, score=0.3):
    HEADS["keypoints"].check(spec)
    thresholds = Thresholds(score, 1.0, max_detections=20)
    return HEADS["keypoints"].decoder(spec, thresholds).decode(tensors, placement, StageClock())


@given(st.sampled_from(drawn_grids.DTYPES), st.integers(0, 2**32))
def test_points_of_grids_equal_the_slow_float_reference(dtype, seed):
    quant = Quant() if dtype.startswith("float") else Quant(0.05, 3)
    spec = spec_of(dtype=np.dtype(dtype), quant=quant)
    tensors = drawn_grids.random_heads(spec, np.random.default_rng(seed))
    seen = decode(spec, tensors)
    expected = {}
    for stride in STRIDES:
        role = f"k{stride}"
        real = real_values(tensors[role], spec.outputs[role])[0]
        for row, column in np.ndindex(real.shape[:2]):
            points = []
            for x, y, score in real[row, column].reshape(-1, 3).tolist():
                x_px, y_px = instance_float.point(
                    (x, y), cell_xy=(column, row), stride_xy=(stride, stride)
                )
                # 640 x 480 lies at x 10.5 (rounded to 10) to 53 of the input: 43 x 32 pixels.
                points.append(((x_px - 10) * 640 / 43, y_px * 480 / 32, sigmoid(score)))
            expected[len(expected)] = points
    for points in seen.points.tolist():
        assert any(np.allclose(points, each, rtol=1e-4, atol=1e-2) for each in expected.values())


def test_a_point_is_measured_from_its_own_cell():
    spec = spec_of(**FLOAT)
    tensors = {role: np.full(each.shape, -9, np.float32) for role, each in spec.outputs.items()}
    tensors["s16"][0, 1, 2] = 9
    tensors["b16"][0, 1, 2] = 0.5
    tensors["k16"][0, 1, 2] = [0.25, 0.5, 9, -1, 0, 0]
    stretch = Placement.fit((128, 32), INPUT_WH, resize="stretch")
    (pose,) = decode(spec, tensors, stretch)
    # (2 * 0.25 + 2) * 16 = 40 of 64 pixels, which are 128 of the source.
    assert pose.points[0] == pytest.approx((80, 32, sigmoid(9)))
    assert pose.points[1] == pytest.approx((0, 16, 0.5))


@pytest.mark.parametrize(
    ("changes", "raw", "expected"),
    [
        pytest.param({"units": "pixels"}, [32, 8, 0], (32, 8, 0.5), id="pixels"),
        pytest.param({"units": "ratios"}, [0.5, 0.25, 0], (32, 8, 0.5), id="ratios"),
        pytest.param({"scale": 1.0, "offset": 0.5}, [0.5, 0.5, 0], (48, 32, 0.5), id="offset"),
        pytest.param(
            {"activation": "none", "units": "pixels"}, [1, 2, 1.25], (1, 2, 1), id="ready"
        ),
        pytest.param({"scored": False, "units": "pixels"}, [1, 2], (1, 2, 1), id="no score"),
    ],
)
def test_each_way_to_write_a_point_down(changes, raw, expected):
    head = HEAD.replace(names=("point",), **changes)
    spec = spec_of(head, **FLOAT)
    tensors = {role: np.full(each.shape, -9, np.float32) for role, each in spec.outputs.items()}
    tensors["s16"][0, 1, 2] = 9
    tensors["b16"][0, 1, 2] = 0.5
    tensors["k16"][0, 1, 2] = raw
    (pose,) = decode(spec, tensors, Placement.fit(INPUT_WH, INPUT_WH, resize="stretch"))
    assert pose.points == (pytest.approx(expected),)


@given(st.binary(min_size=1, max_size=4096), st.sampled_from(drawn_grids.DTYPES))
def test_random_bytes_never_raise_or_warn(data, dtype):
    spec = spec_of(dtype=np.dtype(dtype), quant=Quant())
    heads = drawn_grids.heads_of_bytes(spec, data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decode(spec, heads)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        pytest.param(
            {"skeleton": ((0, 2),)}, r"connects \(0, 2\), but there are points 0 to 1", id="line"
        ),
        pytest.param({"names": ("a", "b", "c")}, "but its 8 boxes need 9 values each", id="number"),
        pytest.param({"scored": False}, "need 4 values", id="no score"),
        pytest.param({"keypoints": ()}, "only output", id="behind the boxes"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_frame(changes, fault):
    spec = spec_of()
    described = factories.manifest(
        head=HEAD.replace(**changes), outputs={role: role for role in spec.outputs}, labels=("a",),
        input=spec.description.input,
    ).description(None)  # fmt: skip
    with pytest.raises(Misfit, match=fault):
        HEADS["keypoints"].check(type(spec)(described, spec.input, spec.outputs))


def test_points_without_names_are_refused_where_they_stand():
    with pytest.raises(Unsound, match="names"):
        read(KeypointsHead, HEAD.plain() | {"names": []})


def test_the_points_of_coco_are_seventeen_joined_by_its_skeleton():
    assert len(COCO_KEYPOINTS) == 17
    assert {point for line in COCO_SKELETON for point in line} == set(range(17))
