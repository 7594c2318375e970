"""Masks: 0 and 255, class ids, palettes; anything else is refused by name."""

from __future__ import annotations

import contextlib
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import SourceError
from edge.evaluation import mask_folder, reading
from edge.evaluation.faults import ABSENT

Image = pytest.importorskip("PIL.Image", reason="the extra eval is not installed")

IDS = np.arange(12, dtype=np.uint8).reshape(3, 4) % 5
PALETTE = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128)]


def palette_png(ids, palette):
    """Return an indexed PNG file, written by the specification."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    height, width = ids.shape
    rows = b"".join(b"\0" + bytes(row) for row in ids)
    colors = bytes(value for color in palette for value in color)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"PLTE", colors), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*parts) for parts in chunks)


def write(path, pixels):
    cv2.imwrite(str(path), pixels)
    return path


def named_pairs(truth):
    return [(image.name, truth.masks[key].name) for key, image in truth.files.items()]


@pytest.fixture
def images(tmp_path):
    (tmp_path / "images").mkdir()
    return [write(tmp_path / "images" / f"{name}.png", np.zeros((3, 4, 3), np.uint8))
            for name in "ab"]  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "masks").mkdir()
    return tmp_path / "masks"


def test_gray_values_are_class_ids(tmp_path):
    path = write(tmp_path / "m.png", IDS)

    np.testing.assert_array_equal(mask_folder.read_mask(path, is_binary=False), IDS)


def test_gray_values_stored_as_colours_are_class_ids(tmp_path):
    path = write(tmp_path / "m.png", np.dstack([IDS] * 3))

    np.testing.assert_array_equal(mask_folder.read_mask(path, is_binary=False), IDS)


def test_a_palette_s_indices_are_class_ids_whatever_its_colours(tmp_path):
    path = tmp_path / "m.png"
    path.write_bytes(palette_png(IDS, PALETTE))

    np.testing.assert_array_equal(mask_folder.read_mask(path, is_binary=False), IDS)


def test_of_equal_colours_of_a_palette_the_first_index_counts(tmp_path):
    path = tmp_path / "m.png"
    path.write_bytes(palette_png(IDS, PALETTE + [(0, 0, 0)] * 251))

    np.testing.assert_array_equal(mask_folder.read_mask(path, is_binary=False), IDS)


@given(
    ids=st.lists(st.integers(0, 255), min_size=6, max_size=6),
    seed=st.integers(0, 1000),
)
def test_every_index_of_a_palette_comes_back(tmp_path_factory, ids, seed):
    picked = np.random.default_rng(seed).choice(1 << 24, 256, replace=False)
    colors = [(color >> 16, color >> 8 & 255, color & 255) for color in picked.tolist()]
    mask = np.array(ids, np.uint8).reshape(2, 3)
    path = tmp_path_factory.mktemp("palette") / "m.png"
    path.write_bytes(palette_png(mask, colors))

    np.testing.assert_array_equal(mask_folder.read_mask(path, is_binary=False), mask)


def test_0_and_255_become_0_and_1(folder, images):
    write(folder / "a.png", np.array([[0, 255], [255, 255]], np.uint8))

    truth = mask_folder.read(folder, images, names=None)

    assert truth.is_binary
    np.testing.assert_array_equal(
        mask_folder.read_mask(truth.masks[0], is_binary=True), [[0, 1], [1, 1]]
    )


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.full((2, 2), 7, np.uint8), "expected 0 and 255 only"),
        (np.array([[[1, 2, 3]]], np.uint8), "found colours"),
    ],
    ids=["gray", "colours"],
)
def test_what_is_no_binary_mask_is_refused(tmp_path, pixels, message):
    path = write(tmp_path / "m.png", pixels)

    with pytest.raises(SourceError, match=message):
        mask_folder.read_mask(path, is_binary=True)


def test_class_ids_of_16_bits_are_read_up_to_255_and_refused_beyond(tmp_path):
    fits = write(tmp_path / "a.png", IDS.astype(np.uint16))
    too_big = write(tmp_path / "b.png", IDS.astype(np.uint16) + 254)

    np.testing.assert_array_equal(mask_folder.read_mask(fits, is_binary=False), IDS)
    with pytest.raises(SourceError, match="expected class ids up to 255, found 258"):
        mask_folder.read_mask(too_big, is_binary=False)


@pytest.mark.parametrize("values", [[0], [0, 1], [0, 255, 3]], ids=["0", "0 and 1", "void"])
def test_other_values_are_no_binary_masks(folder, images, values):
    write(folder / "a.png", np.array([values], np.uint8))

    assert not mask_folder.read(folder, images, names=None).is_binary


def test_a_mask_is_named_as_its_image_or_with_mask_behind(folder, images):
    write(folder / "a_mask.png", IDS)
    write(folder / "b.bmp", IDS)
    write(folder / "c.png", IDS)

    truth = mask_folder.read(folder, images, names=None)

    assert named_pairs(truth) == [("a.png", "a_mask.png"), ("b.png", "b.bmp")]
    assert truth.faults.lines() == [f"1 {ABSENT}: c.png"]


def test_masks_may_lie_beside_their_images(tmp_path):
    image = write(tmp_path / "a.png", np.zeros((3, 4, 3), np.uint8))
    mask = write(tmp_path / "a_mask.png", IDS)

    assert mask_folder.read(tmp_path, [image, mask], names=None).masks == {0: mask}


def test_masks_may_lie_below_the_folder_of_all_images(tmp_path):
    image = write(tmp_path / "a.png", np.zeros((3, 4, 3), np.uint8))
    (tmp_path / "masks").mkdir()
    mask = write(tmp_path / "masks" / "a.png", IDS)

    truth = reading.read(tmp_path / "masks", reading.find_images(tmp_path))

    assert (truth.files, truth.masks) == ({0: image}, {0: mask})


def test_images_and_masks_that_cannot_be_told_apart_are_refused(tmp_path):
    (tmp_path / "masks").mkdir()
    images = [write(tmp_path / "a.png", IDS), write(tmp_path / "masks" / "a.png", IDS)]

    with pytest.raises(SourceError, match="give a folder that holds masks only"):
        reading.read(tmp_path, images)


def test_names_of_the_class_ids_are_read_from_beside_the_masks(folder, images):
    write(folder / "a.png", IDS)
    (folder / "classes.txt").write_text("nothing\ncat\n")

    assert mask_folder.read(folder, images, names=None).names == ("nothing", "cat")


def test_yaml_beside_the_masks_that_holds_no_names_is_named_and_ends_nothing(folder, images):
    write(folder / "a.png", IDS)
    (folder / "compose.yaml").write_text("services: {}\n")

    truth = mask_folder.read(folder, images, names=None)

    assert truth.names is None
    (line,) = truth.faults.lines()
    assert line.startswith("1 files beside the annotations without names, passed over: ")
    assert "compose.yaml: expected the names of the classes" in line


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "I;16"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_however_a_mask_is_stored_its_class_ids_come_back(tmp_path, mode, suffix):
    ids = (IDS > 2).astype(np.uint8) * 255 if mode == "1" else IDS
    image = Image.fromarray(ids.astype(np.uint16) if mode == "I;16" else ids)
    if mode == "P":
        image = Image.new("P", ids.shape[::-1])
        image.putpalette([value for color in PALETTE for value in color])
        image.putdata(ids.ravel().tolist())
    path = tmp_path / f"m{suffix}"
    (image if mode in ("P", "I;16") else image.convert(mode)).save(path)

    np.testing.assert_array_equal(mask_folder.read_mask(path, is_binary=False), ids)


def test_a_mask_that_claims_100_megapixels_is_refused(tmp_path):
    path = tmp_path / "m.png"
    whole = palette_png(IDS, PALETTE)
    header = whole[12:16] + struct.pack(">II", 10_000, 10_000) + whole[24:29]
    path.write_bytes(whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:])

    with pytest.raises(SourceError, match="expected at most 64 megapixels"):
        mask_folder.read_mask(path, is_binary=False)


def test_a_folder_without_a_fitting_mask_is_refused(folder, images):
    write(folder / "z.png", IDS)

    with pytest.raises(SourceError, match="found none of their names"):
        mask_folder.read(folder, images, names=None)


@given(data=st.binary(max_size=200), start=st.integers(24, 120))
def test_damaged_masks_are_read_or_refused(tmp_path_factory, data, start):
    # From behind the size: that of a few damaged ones is 64 megapixels, and takes its time.
    whole = palette_png(IDS, PALETTE)
    path = tmp_path_factory.mktemp("mask") / "m.png"
    path.write_bytes(whole[:start] + data + whole[start + len(data) :])

    with contextlib.suppress(SourceError):
        mask_folder.read_mask(path, is_binary=False)


@pytest.mark.assets
def test_the_membrane_s_masks_are_binary(assets):
    folder = assets / "data" / "membrane" / "data" / "membrane" / "train"

    truth = reading.read(folder / "label", reading.find_images(folder / "image"))

    assert len(truth.files) == 30
    assert truth.is_binary


@pytest.mark.assets
def test_masks_of_photographs_are_class_ids(assets):
    folder = assets / "images" / "coral"

    truth = mask_folder.read(folder, reading.find_images(folder), names=None)

    found = {
        image.name: set(np.unique(mask_folder.read_mask(truth.masks[key], is_binary=False)))
        for key, image in truth.files.items()
    }
    assert found["bird_segmentation.bmp"] == {0, 1, 2, 3}
    assert found["cityscapes_segmentation.bmp"] == {0, 1, 2, 4, 5, 8, 9, 13}
