"""COCO annotations: what is sound stays as it is, what is not is named and left out."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from edge.errors import SourceError
from edge.evaluation import coco_file
from edge.evaluation.faults import ABSENT
from edge.evaluation.truth import numbered

pytest.importorskip("PIL", reason="the extra eval is not installed")

WIDTH, HEIGHT = 40, 30
NEEDY = "annotations without the fields they need, left out"


@pytest.fixture
def images(tmp_path):
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths:
        cv2.imwrite(str(path), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    return paths


def fields(**changes):
    sound = {
        "images": [
            {"id": 7, "file_name": "train/a.png", "width": WIDTH, "height": HEIGHT},
            {"id": 8, "file_name": "b.png"},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1.5, 2, 10, 20.25], "area": 99.5,
             "iscrowd": 0},
        ],
        "categories": [{"id": 3, "name": "cat"}],
    }  # fmt: skip
    return sound | changes


def box(**changes):
    row = {"id": 2, "image_id": 8, "category_id": 3, "bbox": [1, 2, 10, 20], "area": 200,
           "iscrowd": 0}  # fmt: skip
    return row | changes


def read(folder, paths, **changes):
    path = folder / "instances.json"
    path.write_text(json.dumps(fields(**changes)))
    return coco_file.read(path, paths)


def test_sound_annotations_stay_as_they_are(tmp_path, images):
    truth = read(tmp_path, images)

    assert truth.fields == fields()
    assert truth.faults.lines() == []
    assert truth.files == {7: images[0], 8: images[1]}
    assert truth.category_names() == {3: "cat"}


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (box(bbox=[5, 5, 0, 3]), "boxes without area inside their image, left out: id 2"),
        (box(bbox=[50, 5, 3, 3]), "boxes without area inside their image, left out: id 2"),
        (box(bbox=[5, 5, -4, 3]), "boxes without area inside their image, left out: id 2"),
        (box(category_id=9), "boxes of a category that is not listed, left out: id 2 (category 9)"),
        (box(image_id=5), "boxes of an image that is not listed, left out: id 2"),
        (box(id=1), "annotations with an id that stands before, left out: id 1"),
        (box(bbox=[1, 2, 3]), f"{NEEDY}: number 1 (bbox)"),
        (box(bbox="1 2 3 4"), f"{NEEDY}: number 1 (bbox)"),
        (box(iscrowd=None), f"{NEEDY}: number 1 (iscrowd)"),
        (["no", "mapping"], f"{NEEDY}: number 1 (no mapping)"),
    ],
    ids=["flat", "outside", "negative", "category", "image", "double", "three sides", "text",
         "crowd", "list"],
)  # fmt: skip
def test_an_unsound_box_is_named_and_left_out(tmp_path, images, row, kind):
    truth = read(tmp_path, images, annotations=[*fields()["annotations"], row])

    assert truth.fields["annotations"] == fields()["annotations"]
    assert truth.faults.lines() == [f"1 {kind}"]


def test_a_box_that_sticks_out_is_clipped_and_named(tmp_path, images):
    truth = read(tmp_path, images, annotations=[box(bbox=[30, -5, 20, 20])])

    assert truth.fields["annotations"][0]["bbox"] == [30, 0, 10, 15]
    assert truth.faults.lines() == ["1 boxes that stick out of their image, clipped: id 2"]


def test_a_box_that_sticks_out_by_a_rounding_keeps_its_numbers(tmp_path, images):
    row = box(bbox=[0, 0, WIDTH + 0.01, HEIGHT])

    truth = read(tmp_path, images, annotations=[row])

    assert truth.fields["annotations"] == [row]
    assert truth.faults.lines() == []


def test_images_that_are_not_there_are_named_and_their_boxes_go_with_them(tmp_path, images):
    truth = read(tmp_path, images[:1], annotations=[*fields()["annotations"], box()])

    assert [row["id"] for row in truth.fields["images"]] == [7]
    assert [row["id"] for row in truth.fields["annotations"]] == [1]
    assert truth.faults.lines() == [f"1 {ABSENT}: b.png"]


def test_images_without_annotation_are_named_when_they_are_numbered(tmp_path, images):
    truth = read(tmp_path, images)

    assert numbered(truth, [*images, tmp_path / "c.png"]) == [(7, images[0]), (8, images[1])]
    assert truth.faults.lines() == ["1 images without annotation, left out: c.png"]


def test_of_two_images_of_a_name_the_one_beside_the_file_is_taken_and_the_other_named(
    tmp_path, images
):
    (tmp_path / "deep").mkdir()
    twin = tmp_path / "deep" / "a.png"
    shutil.copy(images[0], twin)

    truth = read(tmp_path, [*images, twin])

    assert numbered(truth, [*images, twin]) == [(7, images[0]), (8, images[1])]
    assert truth.files[7] == images[0]
    assert truth.faults.lines() == ["1 images without annotation, left out: a.png"]


def test_sizes_that_the_file_does_not_state_are_those_of_the_upright_image(tmp_path):
    path = tmp_path / "b.jpg"
    _, jpeg = cv2.imencode(".jpg", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    # One entry, orientation (0x0112): 6, turned by 90 degrees. Source: EXIF 2.3, 4.6.4.
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    app1 = b"\xff\xe1" + (len(tiff) + 8).to_bytes(2, "big") + b"Exif\0\0" + tiff
    path.write_bytes(jpeg.tobytes()[:2] + app1 + jpeg.tobytes()[2:])
    rows = [{"id": 8, "file_name": "b.jpg"}]

    truth = read(tmp_path, [path], images=rows, annotations=[box(bbox=[0, 0, WIDTH, WIDTH])])

    assert truth.fields["annotations"][0]["bbox"] == [0, 0, HEIGHT, WIDTH]


def test_an_image_listed_twice_is_taken_once(tmp_path, images):
    rows = [*fields()["images"], {"id": 9, "file_name": "train/a.png"}]

    truth = read(tmp_path, images, images=rows)

    assert truth.faults.lines() == ["1 images annotated twice, the second left out: train/a.png"]


def test_annotations_numbered_from_0_are_renumbered_as_pycocotools_takes_0_for_none(
    tmp_path, images
):
    truth = read(tmp_path, images, annotations=[box(id=0), box(id=4)])

    assert [row["id"] for row in truth.fields["annotations"]] == [1, 2]


def test_numerals_in_quotes_are_numbers(tmp_path, images):
    rows = [{"id": "7", "file_name": "a.png", "width": "40", "height": "30"}]
    row = box(id="1", image_id="7", category_id="3", bbox=["1.5", "2", "10", "20.25"], area="99.5")

    truth = read(tmp_path, images, images=rows, annotations=[row])

    assert truth.fields["annotations"] == fields()["annotations"]
    assert truth.sizes_wh() == {7: (40, 30)}
    assert truth.faults.lines() == []


def test_of_two_categories_with_one_name_both_count_and_it_is_said(tmp_path, images):
    categories = [{"id": 0, "name": "cell"}, {"id": 1, "name": "cell"}, {"id": 2, "name": "dog"}]
    rows = [box(id=1, category_id=0), box(id=2, category_id=1), box(id=3, category_id=2)]

    truth = read(tmp_path, images, categories=categories, annotations=rows)

    assert truth.category_names() == {0: "cell", 2: "dog"}
    assert [row["category_id"] for row in truth.fields["annotations"]] == [0, 0, 2]
    assert truth.faults.lines() == [
        "1 categories of a name that stands before, merged with it: cell (1 with 0)"
    ]


@pytest.mark.parametrize("number", [10**400, 1e999, float("nan"), 2**64, True, "x", None], ids=repr)
@pytest.mark.parametrize("key", ["id", "bbox", "area", "iscrowd"])
def test_odd_numbers_are_named_or_taken(tmp_path, images, key, number):
    row = box(**{key: [number, 2, 10, 20] if key == "bbox" else number})

    truth = read(tmp_path, images, annotations=[*fields()["annotations"], row])

    assert fields()["annotations"][0] in truth.fields["annotations"] or truth.faults.lines()


def test_a_name_that_is_no_text_is_made_one(tmp_path, images):
    truth = read(tmp_path, images, categories=[{"id": 3, "name": "c\ud800t"}])

    assert truth.category_names() == {3: "c?t"}


def test_ids_too_large_for_pycocotools_are_numbered_again(tmp_path, images):
    truth = read(tmp_path, images, annotations=[box(id=2**53 + 1), box(id=2**53)])

    assert [row["id"] for row in truth.fields["annotations"]] == [1, 2]


@pytest.mark.parametrize(
    ("document", "form"),
    [
        ([{"id": 1, "data": {"image": "a.png"}, "annotations": []}], "Label Studio's own export"),
        ([{"image": "a.png", "label": [], "annotation_id": 1}], "Label Studio's own export"),
        ({"shapes": [], "imagePath": "a.png"}, "a file of LabelMe"),
        ([{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}], "results of a detector"),
    ],
    ids=["label studio", "its short form", "labelme", "results"],
)
def test_json_of_other_tools_is_named(tmp_path, images, document, form):
    path = tmp_path / "x.json"
    path.write_text(json.dumps(document))

    with pytest.raises(SourceError, match=f"found {form}; export the set as COCO"):
        coco_file.read(path, images)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_json_from_windows_is_read(tmp_path, images, encoding):
    path = tmp_path / "x.json"
    path.write_text(json.dumps(fields()), encoding=encoding)

    assert coco_file.read(path, images).fields == fields()


def test_an_error_says_what_was_left_out_before(tmp_path, images):
    with pytest.raises(
        SourceError, match=r"noted before: 1 annotated images .* there, left out: x"
    ):
        read(tmp_path, images, images=[{"id": 1, "file_name": "x.png"}])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "found no JSON"),
        ("[" * 100_000, "found no JSON"),
        ("[]", "found no list of 'images'"),
        ('{"images": [], "annotations": []}', "found no list of 'categories'"),
        ('{"images": 3, "annotations": [], "categories": []}', "found no list of 'images'"),
        ('{"images": [], "annotations": [], "categories": []}', "found none of their names"),
    ],
    ids=["cut", "nested", "list", "no categories", "images a number", "empty"],
)
def test_what_is_no_coco_file_is_refused(tmp_path, images, text, message):
    path = tmp_path / "x.json"
    path.write_text(text)

    with pytest.raises(SourceError, match=message):
        coco_file.read(path, images)


def test_a_file_that_is_not_there_is_refused(tmp_path, images):
    with pytest.raises(SourceError, match="No such file"):
        coco_file.read(tmp_path / "none.json", images)
