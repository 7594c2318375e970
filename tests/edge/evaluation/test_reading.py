"""What a folder of annotations is, whatever lies in it; images of one name in two folders."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from edge.errors import SourceError
from edge.evaluation import reading
from edge.evaluation.measuring import measure

pytest.importorskip("pycocotools", reason="pycocotools is not installed")

DOCUMENT = "<annotation><filename>a.png</filename></annotation>"
COCO = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [], "categories": []}


def image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((3, 4), np.uint8))
    return path


@pytest.mark.parametrize(
    ("files", "holds"),
    [
        ({"a.png": None, "notes.xml": "<svg/>", "x.json": "{}", "README.txt": "x"}, "masks"),
        ({"a.xml": DOCUMENT, "x.json": "{}", "b.png": None}, "boxes"),
        ({"7.xml": DOCUMENT, "x.json": "{}"}, "boxes"),
        ({"x.json": json.dumps(COCO), "a.png": None, "notes.xml": "<svg/>"}, "boxes"),
        ({"deep/x.json": json.dumps(COCO)}, "boxes"),
        ({"a.txt": "", "classes.txt": "cat", "notes.json": "{}", "a.png": None}, "boxes"),
    ],
    ids=["masks", "voc", "voc by file name", "coco", "coco below", "yolo"],
)
def test_what_lies_beside_the_annotations_by_chance_changes_nothing(tmp_path, files, holds):
    images = [image(tmp_path / "images" / "a.png")]
    for name, text in files.items():
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image(path) if text is None else path.write_text(text)

    assert reading.read(tmp_path / "set", images).holds == holds


def test_annotations_may_lie_among_their_images(tmp_path):
    images = [image(tmp_path / "a.png")]
    (tmp_path / "_annotations.coco.json").write_text(json.dumps(COCO))

    assert reading.read(tmp_path, images).holds == "boxes"


def test_of_several_json_files_one_must_be_named(tmp_path):
    images = [image(tmp_path / "images" / "a.png")]
    for name in ("train", "val"):
        (tmp_path / f"{name}.json").write_text(json.dumps(COCO))

    with pytest.raises(SourceError, match="expected one COCO file, found 2 JSON files; give the"):
        reading.read(tmp_path, images)


@pytest.fixture
def twins(labelled, tmp_path):
    """Return the COCO fields of `train/1.png` and `test/1.png`, two images with objects.

    The same images lie in `apart`, under names of their own.
    """
    paths, annotations = labelled
    fields = json.loads(annotations.read_text())
    numbers = sorted({row["image_id"] for row in fields["annotations"]})[:2]
    rows = [row for row in fields["images"] if row["id"] in numbers]
    (tmp_path / "apart").mkdir()
    kept = [row for row in fields["annotations"] if row["image_id"] in numbers]
    for row, folder in zip(rows, ("train", "test"), strict=True):
        source = paths[0].parent / row["file_name"]
        (tmp_path / "images" / folder).mkdir(parents=True)
        shutil.copy(source, tmp_path / "images" / folder / "1.png")
        shutil.copy(source, tmp_path / "apart")
    own = fields | {"images": rows, "annotations": kept}
    (tmp_path / "apart.json").write_text(json.dumps(own))
    names = ["train/1.png", "test/1.png"]
    return own | {
        "images": [row | {"file_name": name} for row, name in zip(rows, names, strict=True)]
    }


def accuracy(file, folder, annotations):
    images = reading.find_images(folder)
    truth = reading.read(annotations, images)
    result = measure([file], truth, images, seed=0, resamples=0).evaluations[0]
    return result.metrics | {"images": result.images, "objects": result.objects}


@pytest.mark.parametrize("form", ["coco", "voc", "yolo"])
def test_images_of_one_name_in_two_folders_are_judged_by_their_own_labels(
    file, twins, tmp_path, form
):
    (tmp_path / "whole.json").write_text(json.dumps(twins))
    names = {row["id"]: row["name"] for row in twins["categories"]}
    if form == "coco":
        annotations = tmp_path / "whole.json"
    else:
        annotations = tmp_path / "labels"
        for row in twins["images"]:
            boxes = [box for box in twins["annotations"] if box["image_id"] == row["id"]]
            write = {"voc": write_voc, "yolo": write_yolo}[form]
            write(annotations / row["file_name"], row, boxes, names)
        if form == "yolo":
            (annotations / "classes.txt").write_text("\n".join(names.values()))

    found = accuracy(file, tmp_path / "images", annotations)

    expected = accuracy(file, tmp_path / "apart", tmp_path / "apart.json")
    assert found == pytest.approx(expected, abs=1e-9)
    assert expected["mAP50"] > 0.1


def write_voc(path, row, boxes, names):
    path.parent.mkdir(parents=True, exist_ok=True)
    objects = "".join(
        f"<object><name>{names[box['category_id']]}</name><bndbox><xmin>{x}</xmin><ymin>{y}</ymin>"
        f"<xmax>{x + w}</xmax><ymax>{y + h}</ymax></bndbox></object>"
        for box in boxes
        for x, y, w, h in [box["bbox"]]
    )
    text = f"<annotation><filename>1.png</filename>{objects}</annotation>"
    path.with_suffix(".xml").write_text(text)


def write_yolo(path, row, boxes, names):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = cv2.imread(str(path.parents[2] / "images" / row["file_name"]))
    height, width = image.shape[:2]
    lines = [
        f"{list(names).index(box['category_id'])} {(x + w / 2) / width} {(y + h / 2) / height} "
        f"{w / width} {h / height}"
        for box in boxes
        for x, y, w, h in [box["bbox"]]
    ]
    path.with_suffix(".txt").write_text("\n".join(lines))
