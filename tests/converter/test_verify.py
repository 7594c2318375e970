"""Comparing models: what the float model sees is what the other must see again."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from factories import ssd_spec, tensor

from converter.verify import _floor, _shared_roles, _Sums, compare, compare_all
from edge.decode.segmentation import SegmentationHead
from edge.errors import ModelError
from edge.model import model_file
from edge.model.default import default_model_path
from edge.model.quant import Quant


@pytest.fixture(scope="module")
def shipped():
    return model_file.read(default_model_path())


@pytest.fixture(scope="module")
def scenes(root):
    return sorted((root / "edge" / "capture" / "scenes").glob("*.jpg"))[:2]


def test_a_model_agrees_with_itself(shipped, scenes):
    first, second = compare_all(shipped, [shipped, shipped], scenes)

    assert first == second == compare(shipped, shipped, scenes)
    assert first.agreement == 1
    assert first.expected == first.matched > 0
    assert [(row.role, row.snr_db, row.max_error) for row in first.heads] == [
        ("boxes", math.inf, 0.0), ("scores", math.inf, 0.0),
    ]  # fmt: skip
    assert [row.path for row in first.images] == scenes


def test_the_wrong_input_transform_makes_the_float_model_blind(shipped, scenes):
    wrong = shipped.description.input.model_copy(update={"std": (1e6, 1e6, 1e6)})
    blind = model_file.ModelFile.of(
        shipped.path,
        shipped.flatbuffer,
        shipped.manifest.model_copy(update={"input": wrong}),
        anchors=shipped.description.anchors,
    )

    bill = compare(blind, blind, scenes)

    assert bill.agreement == 1
    assert all(row.is_blank for row in bill.images)


def test_models_with_different_outputs_are_not_compared():
    first, second = (
        ssd_spec(boxes=tensor("b", (1, count, 4)), scores=tensor("s", (1, count, 4)))
        for count in (6, 7)
    )

    with pytest.raises(ModelError, match="the same outputs"):
        _shared_roles(first, second)


def test_class_ids_have_no_head_row():
    spec = ssd_spec(boxes=tensor("b", (1, 6, 4)), scores=tensor("s", (1, 6, 4)))
    argmax = replace(spec.description, head=SegmentationHead(activation="argmax"))
    segmenter = replace(spec, description=argmax)

    assert _shared_roles(spec, spec) == ["boxes", "scores"]
    assert _shared_roles(segmenter, segmenter) == []


def test_a_saturated_score_counts_as_the_least_that_int8_can_say():
    spec = ssd_spec(
        boxes=tensor("b", (1, 6, 4)), scores=tensor("s", (1, 6, 4), quant=Quant(0.5, 0))
    )
    floor = _floor("scores", spec)
    sums = _Sums(floor=floor)

    sums.add(np.array([-99.0, 2.0], np.float32), np.array([-64.0, 2.0], np.float32))

    assert floor == -64
    assert _floor("boxes", spec) == -math.inf
    assert sums.row("scores").max_error == 0


def test_cosine_and_snr_are_those_of_the_heads_as_vectors():
    sums = _Sums(floor=-math.inf)

    sums.add(np.array([3.0, 0.0], np.float32), np.array([3.0, 0.5], np.float32))
    sums.add(np.array([0.0, 4.0], np.float32), np.array([0.0, 4.0], np.float32))
    row = sums.row("boxes")

    assert row.cosine == pytest.approx(25 / math.sqrt(25 * 25.25))
    assert row.snr_db == pytest.approx(10 * math.log10(25 / 0.25))
    assert row.max_error == 0.5
