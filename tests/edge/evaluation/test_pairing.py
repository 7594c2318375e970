"""Which image an annotation is about, where a set has several of one name."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import SourceError
from edge.evaluation.faults import ABSENT, Faults
from edge.evaluation.pairing import AMBIGUOUS, TWICE, Claim, ImageIndex

pytestmark = pytest.mark.board

ROOT = Path("/set")
NFC, NFD = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))


def by_name(*names, place="annotations/instances.json"):
    return [Claim(ROOT / place, name, name=name) for name in names]


def by_place(*places):
    return [Claim(ROOT / place, place, stem=Path(place).stem) for place in places]


def pair(images, claims):
    """Return what was paired, below the root, and what was said."""
    faults = Faults()
    try:
        pairs = ImageIndex([ROOT / name for name in images]).pair(claims, ROOT, faults)
    except SourceError:
        pairs = []
    return {claim.text: str(path.relative_to(ROOT)) for claim, path in pairs}, faults.lines()


BOTH = ["images/train/1.jpg", "images/test/1.jpg"]
ROBOFLOW = ["train/images/1.jpg", "test/images/1.jpg"]


@pytest.mark.parametrize(
    ("images", "claims", "expected"),
    [
        (BOTH, by_name("test/1.jpg", "train/1.jpg"),
         {"test/1.jpg": BOTH[1], "train/1.jpg": BOTH[0]}),
        (BOTH, by_name("C:\\old\\test\\1.jpg"), {"C:\\old\\test\\1.jpg": BOTH[1]}),
        (BOTH, by_place("labels/test/1.txt", "labels/train/1.txt"),
         {"labels/test/1.txt": BOTH[1], "labels/train/1.txt": BOTH[0]}),
        (ROBOFLOW, by_place("test/labels/1.txt", "train/labels/1.txt"),
         {"test/labels/1.txt": ROBOFLOW[1], "train/labels/1.txt": ROBOFLOW[0]}),
        (["train/1.jpg", "test/1.jpg"], by_name("1.jpg", place="test/_annotations.coco.json"),
         {"1.jpg": "test/1.jpg"}),
        (["1.jpg", "old/1.jpg"], by_place("1.txt"), {"1.txt": "1.jpg"}),
        ([f"{NFC}.jpg"], by_name(f"{NFD}.jpg"), {f"{NFD}.jpg": f"{NFC}.jpg"}),
        ([f"{NFD}/1.jpg", "b/1.jpg"], by_name(f"{NFC}/1.jpg"), {f"{NFC}/1.jpg": f"{NFD}/1.jpg"}),
        ([f"{NFC}.jpg", f"{NFD}.jpg"], by_name(f"{NFD}.jpg"), {f"{NFD}.jpg": f"{NFD}.jpg"}),
        ([f"{NFC}.jpg", f"{NFD}.jpg"], by_place(f"{NFC}.txt"), {f"{NFC}.txt": f"{NFC}.jpg"}),
    ],
    ids=["the path's tail", "a path of Windows", "the folder of the label", "folders beside",
         "the same folder", "nearer", "other accents", "other accents of a folder",
         "both accents, by name", "both accents, by stem"],
)  # fmt: skip
def test_the_closest_image_is_taken(images, claims, expected):
    assert pair(images, claims) == (expected, [])


def test_what_fits_two_images_equally_is_left_out_and_named():
    found, lines = pair(BOTH, by_name("1.jpg"))

    assert found == {}
    assert lines == [f"1 {AMBIGUOUS}: 1.jpg (/set/{BOTH[0]}, /set/{BOTH[1]})"]


def test_an_image_that_two_annotations_fit_equally_has_none():
    found, lines = pair(["1.jpg"], by_place("a/1.txt", "b/1.txt"))

    assert found == {}
    assert lines == [f"2 {AMBIGUOUS}: a/1.txt, b/1.txt"]


@pytest.mark.parametrize(
    ("images", "claims"),
    [
        (["images/val/1.jpg"], by_name("test/1.jpg", "val/1.jpg")),
        (["images/val/1.jpg"], by_place("labels/test/1.txt", "labels/val/1.txt")),
    ],
    ids=["names", "places"],
)
def test_annotations_of_another_folder_s_image_are_not_taken_for_this_one_s(images, claims):
    assert pair(images, claims) == ({claims[1].text: images[0]}, [f"1 {ABSENT}: {claims[0].text}"])


def test_of_an_image_that_one_file_lists_twice_the_first_counts():
    claims = by_name("a.jpg", "a.jpg")

    found, lines = pair(["a.jpg"], claims)

    assert (found, lines) == ({"a.jpg": "a.jpg"}, [f"1 {TWICE}: a.jpg"])


def test_a_set_of_which_nothing_fits_is_refused_with_what_was_named():
    with pytest.raises(SourceError, match=r"found none of their names; .* not there.*: b.jpg\)"):
        ImageIndex([ROOT / "a.jpg"]).pair(by_name("b.jpg"), ROOT, Faults())


FOLDERS = st.lists(st.sampled_from(["train", "test", "val"]), max_size=3)


@given(folders=st.lists(FOLDERS, min_size=1, max_size=6, unique_by=tuple), data=st.data())
def test_in_folders_of_one_layout_no_label_meets_another_folder_s_image(folders, data):
    images = ["/".join(["images", *parts, "1.jpg"]) for parts in folders]
    labels = ["/".join(["labels", *parts, "1.txt"]) for parts in folders]
    chosen = data.draw(st.lists(st.sampled_from(images), unique=True, min_size=1))

    found, _ = pair(chosen, by_place(*labels))

    for label, image in found.items():
        assert image == label.replace("labels", "images", 1).replace(".txt", ".jpg")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["1"], BOTH),
        (["1.jpg", "", "2"], BOTH),
        (["test/1.jpg"], [BOTH[1]]),
        (["./images/train/1"], [BOTH[0]]),
        (["2"], []),
    ],
    ids=["stem", "name", "folder", "folder and stem", "unknown"],
)
def test_a_list_may_name_folders(lines, expected):
    found = ImageIndex([ROOT / name for name in BOTH]).chosen(lines)

    assert found == {ROOT / name for name in expected}
