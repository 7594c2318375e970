"""Drawing images: by seed and content, never by the file system's order; nothing dropped unsaid."""

from __future__ import annotations

import hashlib
import logging
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.dataset import image_set, rank, sample
from edge.errors import SourceError

pytestmark = pytest.mark.board


def write_photo(path, number, size_wh=(64, 48)):
    """Write a smooth image that resembles no other number's."""
    coarse = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.resize(coarse, size_wh, interpolation=cv2.INTER_CUBIC))


@pytest.fixture
def folder(tmp_path):
    for number in range(12):
        write_photo(tmp_path / "photos" / ("a" if number % 2 else "b") / f"{number}.png", number)
    return tmp_path / "photos"


def names(images):
    return [path.relative_to(images.root).as_posix() for path in images.paths]


def test_the_same_seed_draws_the_same_images(folder):
    assert sample(folder, count=5, seed=1) == sample(folder, count=5, seed=1)


def test_another_seed_draws_others(folder):
    assert names(sample(folder, count=5, seed=1)) != names(sample(folder, count=5, seed=2))


def test_a_copy_made_in_another_order_gives_the_same_draw(folder, tmp_path):
    copy = tmp_path / "elsewhere"
    for path in sorted(folder.rglob("*.png"), reverse=True):
        target = copy / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)

    first, second = sample(folder, count=7, seed=4), sample(copy, count=7, seed=4)

    assert names(first) == names(second)
    assert first.digest == second.digest


def test_the_digest_is_that_of_the_sorted_contents(folder):
    images = sample(folder, count=3, seed=0)

    contents = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in images.paths)
    assert images.digest == "sha256:" + hashlib.sha256("\n".join(contents).encode()).hexdigest()


def test_the_digest_changes_with_one_byte_of_one_image(folder):
    before = sample(folder, count=12, seed=0)
    with before.paths[0].open("ab") as file:
        file.write(b"\0")

    assert sample(folder, count=12, seed=0).digest != before.digest


def test_an_exact_copy_is_skipped_by_name_and_said(folder, caplog):
    shutil.copyfile(folder / "a" / "1.png", folder / "copy.png")

    with caplog.at_level(logging.WARNING):
        images = sample(folder, count=13, seed=0)

    (skipped,) = images.skipped
    assert {skipped.path.name, "1.png", "copy.png"} == {"1.png", "copy.png"}
    assert "the same bytes as" in skipped.reason
    assert skipped.reason in caplog.text
    assert "expected 13 distinct images, found 12 (1 skipped)" in caplog.text


def test_a_smaller_jpeg_of_the_same_photograph_is_skipped(folder):
    image = cv2.imread(str(folder / "b" / "0.png"))
    cv2.imwrite(str(folder / "small.jpg"), cv2.resize(image, (40, 30)))

    images = sample(folder, count=13, seed=0)

    assert len(images.paths) == 12
    assert "looks like" in images.skipped[0].reason


def test_an_unreadable_file_is_skipped_by_name_and_replaced_by_the_next(folder):
    full = sample(folder, count=12, seed=0)
    full.paths[0].write_bytes(b"not an image")

    images = sample(folder, count=5, seed=0)

    assert images.paths == full.paths[1:6]
    assert images.skipped[0].path == full.paths[0]
    assert "expected a JPEG, PNG or BMP image" in images.skipped[0].reason


def test_hidden_files_and_other_kinds_are_left_alone(folder):
    shutil.copyfile(folder / "a" / "1.png", folder / ".hidden.png")
    (folder / "instances.json").write_text("{}")

    assert sample(folder, count=12, seed=0).skipped == ()


def test_progress_ends_at_the_count(folder):
    told = []

    sample(folder, count=4, seed=0, progress=lambda done, total: told.append((done, total)))

    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        pytest.param(lambda _: None, "expected a folder of images, found none", id="missing"),
        pytest.param(lambda path: path.mkdir(), r"expected images \(\.bmp", id="empty"),
        pytest.param(
            lambda path: (path.mkdir(), (path / "x.png").write_bytes(b"")),
            "none of its 1 image files can be read",
            id="unreadable",
        ),
    ],
)
def test_a_folder_without_a_readable_image_is_refused(tmp_path, prepare, message):
    prepare(tmp_path / "x")

    with pytest.raises(SourceError, match=message):
        sample(tmp_path / "x", count=3, seed=0)


def test_a_set_of_no_images_is_refused(tmp_path):
    with pytest.raises(SourceError, match="expected at least one image"):
        image_set(tmp_path, [], seed=0)


@given(st.sets(st.integers(0, 500), min_size=2, max_size=30), st.integers(), st.data())
def test_a_file_that_is_removed_moves_no_other(numbers, seed, data):
    paths = [Path(f"{number}.jpg") for number in sorted(numbers)]
    gone = data.draw(st.sampled_from(paths))

    order = rank(paths, seed=seed)

    order.remove(gone)
    assert rank([path for path in paths if path != gone], seed=seed) == order


@pytest.mark.assets
def test_the_raccoons_hold_seven_duplicates(assets):
    images = sample(assets / "data" / "raccoon" / "images", count=200, seed=0)

    assert len(images.paths) + len(images.skipped) == 200
    assert len(images.skipped) == 7
