"""Comparing models: what the float model sees is what the other must see again."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from factories import ssd_spec, tensor

from converter.judge.sight import DIAGONALS, HEAD_IMAGES, Sight, Views
from converter.judge.verify import _floor, _shared_roles, compare, head_row
from edge.decode.segmentation import SegmentationHead
from edge.errors import ModelError
from edge.model import model_file
from edge.model.default import default_model_path
from edge.model.quant import Quant
from edge.results.detections import Detections


@pytest.fixture(scope="module")
def shipped():
    return model_file.read(default_model_path())


@pytest.fixture(scope="module")
def scenes(root):
    return sorted((root / "edge" / "capture" / "scenes").glob("*.jpg"))[:6]


def viewed(file, images, moves=0):
    views = Views(file)
    views.add(images)
    if moves:
        views.move(moves)
    return views


def test_a_model_agrees_with_itself(shipped, scenes):
    reference, other = viewed(shipped, scenes, moves=1), viewed(shipped, scenes)
    first, second = compare(reference, [other, other], resamples=20)

    assert [first] == [second] == compare(reference, [other])
    assert first.likeness.distance == pytest.approx(0, abs=1e-9)
    assert first.likeness.objects == first.expected
    assert first.likeness.draws.shape == (20, 2)
    assert first.expected == first.matched > 0
    assert [(row.role, row.snr_db, row.max_error) for row in first.heads] == [
        ("boxes", math.inf, 0.0), ("scores", math.inf, 0.0),
    ]  # fmt: skip
    assert [row.path for row in first.images] == scenes


def test_the_wrong_input_transform_makes_the_float_model_blind(shipped, scenes):
    wrong = shipped.description.input.replace(std=(1e6, 1e6, 1e6))
    blind = model_file.ModelFile.of(
        shipped.path,
        shipped.flatbuffer,
        shipped.own_manifest().replace(input=wrong),
        anchors=shipped.description.anchors,
    )

    (bill,) = compare(viewed(blind, scenes, moves=1), [viewed(blind, scenes)], resamples=5)

    assert bill.likeness.objects == 0
    assert math.isnan(bill.likeness.distance)
    assert not bill.likeness.draws.size
    assert all(row.is_blank for row in bill.images)


def test_the_noise_floor_is_that_of_moved_images_whose_boxes_are_moved_back(shipped, scenes):
    reference = viewed(shipped, scenes, moves=4)
    (bill,) = compare(reference, [viewed(shipped, scenes)])

    every = np.arange(len(scenes))
    assert len(reference.shifted) == 4
    assert bill.likeness.floor == np.mean([one.distance(every) for one in reference.shifted])
    assert bill.likeness.floor < 0.2


def test_a_noise_floor_that_nobody_looked_for_is_no_number(shipped, scenes):
    (bill,) = compare(viewed(shipped, scenes), [viewed(shipped, scenes)], resamples=3)

    assert math.isnan(bill.likeness.floor)
    assert bill.likeness.draws.shape == (3, 2)


def test_each_image_is_run_once_for_heads_objects_and_labels(shipped, scenes, monkeypatch):
    views, run = Views(shipped), []
    invoke = views._sight._model._backend.invoke
    monkeypatch.setattr(
        views._sight._model._backend,
        "invoke",
        lambda *args, **named: run.append(1) or invoke(*args, **named),
    )

    views.add(scenes[:2], judged=True)
    views.add(scenes[2:], judged=True)

    assert len(run) == len(scenes) == len(views.seen) == len(views.heads) < HEAD_IMAGES
    assert list(views.found) == views.paths == scenes
    assert all(
        len(found) > len(seen) for found, seen in zip(views.found.values(), views.seen, strict=True)
    )


def test_fewer_moves_an_image_go_along_all_diagonals_in_turn(shipped, scenes, monkeypatch):
    asked = []

    def look_shifted(self, image, diagonals, *, step_px):
        asked.append(tuple(diagonals))
        return (self.look(image).seen,) * len(diagonals)

    monkeypatch.setattr(Sight, "look_shifted", look_shifted)
    reference = viewed(shipped, [*scenes, *scenes], moves=1)

    assert {len(each) for each in asked} == {len(reference.shifted)} == {1}
    assert set(asked) == {(diagonal,) for diagonal in DIAGONALS}


def test_what_is_seen_on_a_moved_image_is_moved_back(shipped, monkeypatch):
    sight, centres = Sight(shipped), []
    image = np.zeros((600, 900, 3), np.uint8)
    image[200:260, 300:420] = 255

    def centre_of_light(_, moved):
        rows, columns = np.mgrid[: moved.shape[0], : moved.shape[1]]
        light = moved[..., 0].astype(float)
        centres.append([(grid * light).sum() / light.sum() for grid in (columns, rows)])
        box = np.float32([[*centres[-1], *centres[-1]]])
        return Detections(box, np.ones(1, np.float32), np.ones(1, np.int32))

    monkeypatch.setattr(Sight, "_see", centre_of_light)
    seen = [found.boxes[0, :2] for found in sight.look_shifted(image)]

    # The input is 300x300: a quarter of a pixel is 0.75 of the image across and 0.5 down.
    moves = np.array(centres) - [359.5, 229.5]
    np.testing.assert_allclose(
        moves, [[0.75, 0.5], [0.75, -0.5], [-0.75, 0.5], [-0.75, -0.5]], atol=0.05
    )
    np.testing.assert_allclose(seen, [[359.5, 229.5]] * 4, atol=0.05)


def test_a_model_that_reads_other_colours_is_told_from_itself(shipped, scenes):
    swapped = shipped.description.input.replace(color="bgr")
    other = model_file.ModelFile.of(
        shipped.path,
        shipped.flatbuffer,
        shipped.own_manifest().replace(input=swapped),
        anchors=shipped.description.anchors,
    )

    (bill,) = compare(viewed(shipped, scenes), [viewed(other, scenes)])

    assert bill.heads[1].snr_db < 30
    assert bill.images[0].expected > 0


def test_models_with_different_outputs_are_not_compared():
    first, second = (
        ssd_spec(boxes=tensor("b", (1, count, 4)), scores=tensor("s", (1, count, 4)))
        for count in (6, 7)
    )

    with pytest.raises(ModelError, match="the same outputs"):
        _shared_roles(first, second)


def test_a_head_of_no_numbers_has_a_row_that_says_so():
    row = head_row("scores", [(np.ones(3, np.float32), np.float32([1, np.inf, np.nan]))])

    assert not any(map(np.isfinite, (row.cosine, row.snr_db, row.max_error)))
    row = head_row("scores", [(np.ones(3, np.float32), np.float32([1, 1, np.inf]))])
    assert (row.snr_db, row.max_error) == (-np.inf, np.inf)


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
    pair = np.array([-99.0, 2.0], np.float32), np.array([-64.0, 2.0], np.float32)

    assert floor == -64
    assert _floor("boxes", spec) == -math.inf
    assert head_row("scores", [pair], floor=floor).max_error == 0


def test_cosine_and_snr_are_those_of_the_heads_as_vectors():
    pairs = [([3.0, 0.0], [3.0, 0.5]), ([0.0, 4.0], [0.0, 4.0])]
    row = head_row("boxes", [(np.float32(a), np.float32(b)) for a, b in pairs])

    assert row.cosine == pytest.approx(25 / math.sqrt(25 * 25.25))
    assert row.snr_db == pytest.approx(10 * math.log10(25 / 0.25))
    assert row.max_error == 0.5
