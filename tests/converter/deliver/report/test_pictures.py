"""The pictures show what each model saw, the worst first, and dead channels beside living ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from reference import bright_net

from converter.deliver.report.features import observe_features
from converter.deliver.report.pictures import (
    GAP_PX,
    PANEL_SIDE_PX,
    STRIP_PX,
    TILES,
    _selected,
    choose_images,
    draw_layer,
    draw_side_by_side,
    shown_channels,
)
from converter.judge.bill import Bill, ImageRow, Likeness
from edge.results.detections import Detections


def row(name, *, matched, expected, extra=0):
    distance = 1 - matched / expected if expected else 0.0
    return ImageRow(Path(name), distance, matched, expected, extra, is_blank=not expected)


def bill(*rows, head="ssd"):
    return Bill(head, 2, 1, (), rows, Likeness(0.1, 0.1, 9, np.zeros((0, 2))))


def test_the_images_with_most_lost_and_new_detections_come_first():
    rows = (
        row("blank", matched=0, expected=0),
        row("fine", matched=3, expected=3),
        row("two lost", matched=1, expected=3),
        row("one lost, two new", matched=0, expected=1, extra=2),
        row("fine too", matched=1, expected=1),
    )

    chosen = [(why, found.path.name) for why, found in choose_images(bill(*rows))]

    assert chosen == [
        ("worst", "one lost, two new"), ("worst", "two lost"), ("typical", "fine"),
        ("typical", "fine too"),
    ]  # fmt: skip


def test_masks_are_ranked_by_their_distance():
    rows = tuple(ImageRow(Path(str(far)), far) for far in (0.1, 0.5, 0.0, 0.01, 0.2, 0.3, 0.03))

    chosen = [found.distance for _, found in choose_images(bill(*rows, head="segmentation"))]

    assert chosen[:4] == [0.5, 0.3, 0.2, 0.1]
    assert len(chosen) == 6


def test_nothing_but_blank_images_are_shown_all_the_same():
    rows = tuple(row(str(number), matched=0, expected=0) for number in range(5))

    assert [why for why, _ in choose_images(bill(*rows))] == ["typical", "typical"]
    assert choose_images(bill()) == []


@pytest.fixture(scope="module")
def twins(subject):
    """Return the pictures of a model beside itself."""
    same = replace(subject, quantized=subject.reference)
    return draw_side_by_side(same, choose_images(subject.bill))


def test_each_picture_holds_two_panels_of_the_image_with_boxes(twins):
    for picture in twins:
        image = cv2.imdecode(np.frombuffer(picture.data, np.uint8), cv2.IMREAD_COLOR)
        assert image.shape == (PANEL_SIDE_PX + STRIP_PX, 2 * PANEL_SIDE_PX + GAP_PX, 3)
        # Below the titles, a model beside itself gives the same panel twice, but for JPEG's noise.
        left, right = image[STRIP_PX:, :PANEL_SIDE_PX], image[STRIP_PX:, PANEL_SIDE_PX + GAP_PX :]
        assert np.abs(left.astype(int) - right).mean() < 2
        assert (image[: STRIP_PX // 2, PANEL_SIDE_PX : PANEL_SIDE_PX + GAP_PX] > 240).all()


def test_a_seen_square_is_framed_in_its_colour(subject, twins):
    chosen = choose_images(subject.bill)
    assert any(found.expected for _, found in chosen)
    for (_, found), picture in zip(chosen, twins, strict=True):
        image = cv2.imdecode(np.frombuffer(picture.data, np.uint8), cv2.IMREAD_COLOR)
        spread = np.ptp(image[STRIP_PX:].astype(int), axis=2)
        # The images' own cells are gray within 56 levels; a frame's colour is not.
        assert bool((spread > 120).any()) == bool(found.expected)


def test_an_unsure_detection_is_drawn_only_as_the_partner_of_a_sure_one():
    boxes = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], np.float32)
    ids = np.array([1, 1], np.int32)
    sure = Detections(boxes[:1], np.array([0.9], np.float32), ids[:1])
    unsure = Detections(boxes, np.array([0.4, 0.3], np.float32), ids)

    assert _selected(unsure, sure, 0.5).scores.tolist() == [np.float32(0.4)]
    assert len(_selected(sure, unsure, 0.5)) == 1


@pytest.fixture(scope="module")
def layers(bright_images):
    return observe_features(bright_net.model_file(), bright_images[:1])


def test_a_sheet_shows_dead_channels_beside_living_ones(layers):
    spans = np.ones(100)
    spans[40:90] = 0
    wide = replace(layers[0], spans=spans, maps=np.zeros((4, 4, 100), np.float32))

    shown = shown_channels(wide)

    assert len(shown) == TILES
    assert shown == sorted(set(shown))
    assert sum(channel in wide.dead for channel in shown) == TILES // 2


def test_filters_over_colours_are_drawn_and_those_over_many_channels_are_not(layers):
    stem, scores = (draw_layer(layer, number) for number, layer in enumerate(layers[:2], start=1))

    assert [picture.file_name for picture in stem] == ["layer-1-maps.png", "layer-1-filters.png"]
    assert [picture.file_name for picture in scores] == ["layer-2-maps.png"]
