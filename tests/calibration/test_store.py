"""Ranges and image lists survive the disk, and damaged ones are refused in a sentence."""

from __future__ import annotations

import json

import cv2
import factories
import numpy as np
import pytest

from calibration import image_list, store
from calibration.dataset import image_set
from calibration.ranges import Range
from edge.errors import ModelError, SinkError, SourceError

pytestmark = pytest.mark.board


def content(**changes):
    fields = {
        "model_digest": "sha256:1",
        "images_digest": "sha256:2",
        "images": 3,
        "seed": 4,
        "calibrator": "mse",
        "transform": factories.input_transform(),
        "tools": {"numpy": "1"},
        "ranges": {"b": (0.1, 1 / 3), "a": (-1.0, 2.5)},
    }
    return store.RangesFile(**fields | changes)


def test_ranges_come_back_as_they_were_to_the_last_bit(tmp_path):
    store.write(tmp_path / "r.json", content())

    back = store.read(tmp_path / "r.json")

    assert back == content()
    assert back.by_tensor() == {"a": Range(-1.0, 2.5), "b": Range(0.1, 1 / 3)}


def test_the_same_ranges_in_another_order_give_the_same_bytes(tmp_path):
    store.write(tmp_path / "1.json", content())
    store.write(tmp_path / "2.json", content(ranges={"a": (-1.0, 2.5), "b": (0.1, 1 / 3)}))

    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


@pytest.mark.parametrize(
    ("change", "where"),
    [
        pytest.param({"schema_version": 2}, "schema_version", id="another version"),
        pytest.param({"seed": "x"}, "seed", id="wrong type"),
        pytest.param({"more": 1}, "unknown key 'more'", id="unknown key"),
        pytest.param({"ranges": {"a": [2, 1]}}, "ranges", id="reversed range"),
        pytest.param({"transform": {}}, "transform", id="no transform"),
    ],
)
def test_a_damaged_file_is_refused_with_the_place(tmp_path, change, where):
    path = tmp_path / "r.json"
    store.write(path, content())
    path.write_text(json.dumps(json.loads(path.read_text()) | change))

    with pytest.raises(ModelError, match=rf"r\.json: expected the ranges .* but {where}"):
        store.read(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00"], ids=["empty", "cut", "list", "binary"])
def test_what_is_no_ranges_file_is_refused(tmp_path, text):
    (tmp_path / "r.json").write_text(text)

    with pytest.raises(ModelError, match="make it again with: edge-calibrate observe"):
        store.read(tmp_path / "r.json")


def test_a_missing_file_says_what_makes_it(tmp_path):
    with pytest.raises(ModelError, match=r"No such file.*edge-calibrate observe"):
        store.read(tmp_path / "r.json")


def test_a_folder_that_is_not_there_cannot_be_written_to(tmp_path):
    with pytest.raises(SinkError, match="cannot be written: No such file or directory"):
        store.write(tmp_path / "none" / "r.json", content())


@pytest.fixture
def images(tmp_path):
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((4, 4, 3), number * 50, np.uint8))
    return image_set(tmp_path, sorted(tmp_path.glob("*.png")), seed=5)


def test_an_image_list_gives_the_same_set_back(images, tmp_path):
    image_list.write(tmp_path / "list.json", images)

    assert image_list.read(tmp_path / "list.json") == images


def test_a_list_whose_images_changed_is_refused(images, tmp_path):
    image_list.write(tmp_path / "list.json", images)
    cv2.imwrite(str(images.paths[1]), np.full((4, 4, 3), 9, np.uint8))

    with pytest.raises(SourceError, match="the images have changed: expected sha256:"):
        image_list.read(tmp_path / "list.json")


def test_a_list_that_is_none_is_refused(tmp_path):
    (tmp_path / "list.json").write_text('{"root": "x"}')

    with pytest.raises(SourceError, match="expected a list of edge-calibrate sample"):
        image_list.read(tmp_path / "list.json")
