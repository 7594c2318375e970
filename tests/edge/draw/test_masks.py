import numpy as np
import pytest

from edge.draw.lettering import class_color, luma
from edge.draw.results import overlay_inplace
from edge.results.class_map import ClassMap

pytestmark = pytest.mark.board

LABELS = ("background", "person", "cat")
GREY = 90


def drawn(ids, *, size_wh=(300, 200), background=0):
    width, height = size_wh
    image = np.full((height, width, 3), GREY, np.uint8)
    overlay_inplace(image, ClassMap(ids, size_wh), LABELS, background=background)
    return image


def is_tinted(image, row, column):
    return bool((image[row, column] != GREY).any())


def test_a_class_is_tinted_where_it_lies_and_nowhere_else():
    ids = np.zeros((4, 6), np.uint8)
    ids[2:, 3:] = 1
    image = drawn(ids)
    assert is_tinted(image, 180, 290)
    assert is_tinted(image, 120, 170)
    assert not is_tinted(image, 60, 250)
    assert not is_tinted(image, 150, 100)


def test_a_map_of_background_leaves_the_image_as_it_was():
    assert (drawn(np.zeros((4, 6), np.uint8)) == GREY).all()


def test_a_head_without_background_has_every_class_tinted():
    image = drawn(np.zeros((4, 6), np.uint8), background=None)
    assert is_tinted(image, 150, 100)


def test_the_legend_names_each_class_in_its_colour():
    ids = np.zeros((4, 6), np.uint8)
    ids[2:, 3:], ids[3, 0] = 1, 2
    image = drawn(ids)
    for class_id in (1, 2):
        pixels = (image[:80, :120] == class_color(class_id)).all(axis=2)
        assert pixels.sum() > 100


@pytest.mark.parametrize("size_wh", [(1, 1), (3, 700), (1280, 720)])
def test_images_of_any_size_do_no_harm(size_wh):
    ids = np.random.default_rng(5).integers(0, 3, (7, 9), np.uint8)
    assert (drawn(ids, size_wh=size_wh, background=None) != GREY).any()


def test_colours_are_stable_and_differ():
    colors = [class_color(each) for each in range(21)]
    assert colors[1] == (114, 255, 56)
    assert len(set(colors)) == 21


@pytest.mark.parametrize(
    ("color", "expected"), [((0, 0, 0), 0), ((255, 255, 255), 255), ((0, 255, 0), 0.587 * 255)]
)
def test_luma_weighs_the_channels(color, expected):
    assert luma(color) == pytest.approx(expected)
