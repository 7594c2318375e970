"""Ranges of a model whose every tensor is known by arithmetic."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from reference import tiny_model

from calibration.calibrators import CALIBRATORS
from calibration.dataset import image_set
from calibration.observe import TappedModel, input_size_wh, observe
from calibration.ranges import Range
from edge.capture.images import load_image
from edge.errors import ConfigError, ModelError
from edge.frame import Placement
from edge.model.description import InputTransform

pytestmark = pytest.mark.board


@pytest.fixture(scope="module")
def transform():
    return InputTransform(
        size_wh=tiny_model.INPUT_WH,
        color="rgb",
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
        resize="stretch",
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(3)
    width, height = tiny_model.INPUT_WH
    for number, (low, high) in enumerate(((90, 120), (20, 130), (100, 230))):
        pixels = random.integers(low, high, (height, width, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), pixels)
    return image_set(folder, sorted(folder.iterdir()), seed=0)


def inputs_of(images):
    """Return what the model sees, by arithmetic: the images have the input's size already."""
    return [
        ((load_image(path)[None, ..., ::-1].astype(np.float64) - 127.5) / 127.5).astype(np.float32)
        for path in images.paths
    ]


def test_minmax_ranges_are_the_extremes_of_every_computed_tensor(images, transform):
    ranges = observe(tiny_model.build(), images, transform, calibrator="minmax")

    found = [tiny_model.expected(x) for x in inputs_of(images)]
    assert ranges.keys() == set(tiny_model.NAMES)
    for name in tiny_model.NAMES[1:]:
        low = min(float(values[name].min()) for values in found)
        high = max(float(values[name].max()) for values in found)
        assert (ranges[name].min, ranges[name].max) == pytest.approx((low, high), abs=1e-6), name


def test_a_tensor_whose_memory_is_used_again_is_still_read_right(images, transform):
    model = TappedModel(tiny_model.build(), transform)

    for x, path in zip(inputs_of(images), images.paths, strict=True):
        expected = tiny_model.expected(x)
        for name, values in model.run(load_image(path)):
            np.testing.assert_allclose(values, expected[name], atol=1e-6, err_msg=name)


@pytest.mark.parametrize("calibrator", CALIBRATORS)
def test_the_order_of_the_images_does_not_matter(images, transform, calibrator):
    found = [
        observe(
            tiny_model.build(),
            image_set(images.root, order, seed=0),
            transform,
            calibrator=calibrator,
        )
        for order in itertools.permutations(images.paths)
    ]

    assert all(ranges == found[0] for ranges in found)


@pytest.mark.parametrize("calibrator", CALIBRATORS)
def test_the_input_is_pinned_to_all_pixel_values_whatever_the_images_show(
    images, transform, calibrator
):
    ranges = observe(tiny_model.build(), images, transform, calibrator=calibrator)

    assert ranges["image"] == Range(-1.0, 1.0)


@pytest.mark.parametrize("calibrator", ["minmax", "mse"])
def test_progress_counts_each_image_once(images, transform, calibrator):
    told = []
    observe(
        tiny_model.build(),
        images,
        transform,
        calibrator=calibrator,
        progress=lambda done, total: told.append((done, total)),
    )

    total = len(images.paths)
    assert told == [(done, total) for done in range(1, total + 1)]


def test_the_bars_of_a_letterbox_are_observed_as_the_board_paints_them(images, transform):
    letterbox = transform.replace(resize="letterbox", padding=255)
    wide = np.zeros((10, 100, 3), np.uint8)
    placement = Placement.fit((100, 10), tiny_model.INPUT_WH, resize="letterbox")

    values = dict(TappedModel(tiny_model.build(), letterbox).run(wide))["image"]

    assert placement.offset_xy[1] > 0
    assert values[0, 0].min() == 1.0
    assert values[0, placement.offset_xy[1]].max() == -1.0


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_a_value_that_is_not_finite_names_its_tensor_and_its_image(images, transform):
    steep = transform.replace(std=(1e-38, 1e-38, 1e-38))

    with pytest.raises(ModelError, match=r"0\.png: tensor 'image' must stay finite"):
        observe(tiny_model.build(), images, steep, calibrator="minmax")


def test_an_unknown_calibrator_is_refused_with_those_there_are(images, transform):
    with pytest.raises(ConfigError, match="minmax, percentile, mse, entropy, found 'median'"):
        observe(tiny_model.build(), images, transform, calibrator="median")


def test_an_input_of_another_size_is_refused_with_both_sizes(images, transform):
    other = transform.replace(size_wh=(8, 8))

    with pytest.raises(ModelError, match=r"\(1, 8, 8, 3\) float32, found \(1, 12, 16, 3\)"):
        observe(tiny_model.build(), images, other, calibrator="minmax")


def test_the_size_of_a_bare_model_is_read_from_its_input(tmp_path):
    assert input_size_wh(tiny_model.build(), tmp_path) == tiny_model.INPUT_WH


@pytest.mark.assets
def test_the_ranges_of_a_real_segmenter_stay_inside_its_extremes(assets):
    photos = sorted((assets / "data" / "coco_train178" / "images").glob("*.jpg"))[:2]
    chosen = image_set(photos[0].parent, photos, seed=0)
    path = assets / "models" / "portrait_unet" / "mnv3_seg_float.tflite"
    flatbuffer = path.read_bytes()
    real = InputTransform(
        size_wh=input_size_wh(flatbuffer, path),
        color="rgb",
        mean=(0.0, 0.0, 0.0),
        std=(255.0, 255.0, 255.0),
        resize="stretch",
    )

    whole = observe(flatbuffer, chosen, real, calibrator="minmax")
    cut = observe(flatbuffer, chosen, real, calibrator="percentile")

    assert whole.keys() == cut.keys()
    assert len(whole) == 78
    assert all(whole[name].merge(cut[name]) == whole[name] for name in whole)
    assert sum(cut[name] != whole[name] for name in whole) > 30
