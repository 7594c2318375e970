"""One model, or two on the same images; three forms of annotation say the same."""

from __future__ import annotations

import json
import shutil
from xml.sax.saxutils import escape

import cv2
import pytest

from edge.errors import DependencyError, ModelError, SourceError
from edge.evaluation import reading
from edge.evaluation.measuring import measure
from edge.model.model_file import ModelFile

pytest.importorskip("pycocotools", reason="pycocotools is not installed")


@pytest.fixture(scope="module")
def pair(file, worse, labelled):
    """Return the measurement of a model and a worse one."""
    paths, annotations = labelled
    return measure([file, worse], reading.read(annotations, paths), paths, seed=0, resamples=200)


def test_the_difference_of_two_models_is_paired(pair):
    first, second = pair.evaluations
    row = pair.differences[0]

    assert row.metric == first.main_metric == "mAP50-95"
    assert row.values == pytest.approx((first.metrics["mAP50-95"], second.metrics["mAP50-95"]))
    low, high = row.interval
    assert low < high < 0
    assert row.is_significant


def test_a_brief_measurement_has_the_same_figures_without_classes_and_mistakes(
    file, worse, labelled, pair
):
    paths, annotations = labelled
    truth = reading.read(annotations, paths)

    brief = measure([file, worse], truth, paths, seed=0, resamples=200, is_brief=True)

    assert brief.differences == pair.differences
    for found, whole in zip(brief.evaluations, pair.evaluations, strict=True):
        assert found.metrics == pytest.approx({key: whole.metrics[key] for key in found.metrics})
        assert (found.images, found.objects) == (whole.images, whole.objects)
        assert (found.notes, found.intervals) == (whole.notes, whole.intervals)
        assert (found.classes, found.mistakes) == ({}, ())


def test_a_model_against_itself_is_not_significant(file, labelled):
    paths, annotations = labelled
    truth = reading.read(annotations, paths)

    measured = measure([file, file], truth, paths, seed=0, resamples=20)

    assert [row.interval for row in measured.differences] == [(0, 0), (0, 0)]
    assert not any(row.is_significant for row in measured.differences)


def test_two_models_are_judged_by_the_categories_that_both_know(file, labelled):
    paths, annotations = labelled
    labels = ("gnome", *file.description.labels[1:])
    changed = file.manifest.replace(labels=labels)
    stranger = ModelFile.of(file.path, file.flatbuffer, changed, anchors=file.description.anchors)

    measured = measure(
        [file, stranger], reading.read(annotations, paths), paths, seed=0, resamples=1
    )

    assert "person" not in measured.evaluations[0].classes
    assert measured.differences[0].values[0] == measured.differences[0].values[1]
    assert "1 categories not judged, as the model lacks them: person" in (
        measured.evaluations[1].notes
    )


def test_labels_without_any_category_are_refused(file, labelled):
    paths, annotations = labelled
    changed = file.manifest.replace(labels=("gnome",) * len(file.description.labels))
    stranger = ModelFile.of(file.path, file.flatbuffer, changed, anchors=file.description.anchors)

    with pytest.raises(ModelError, match=r"none of its categories \(airplane, .* \(gnome "):
        measure([stranger], reading.read(annotations, paths), paths, seed=0, resamples=1)


def test_images_that_cannot_be_judged_are_named_and_the_rest_goes_on(file, labelled, tmp_path):
    paths, annotations = labelled
    copies = [shutil.copy(path, tmp_path) for path in paths[:5]]
    images = reading.find_images(tmp_path)
    (tmp_path / paths[2].name).write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    fields = json.loads(annotations.read_text())
    fields["images"][3] |= {"width": 9, "height": 9}
    fields["images"] = [row for row in fields["images"] if row["file_name"] != paths[4].name]
    fields["annotations"] = [row for row in fields["annotations"] if row["image_id"] in (2, 3, 4)]
    (tmp_path / "set.json").write_text(json.dumps(fields))

    measured = measure(
        [file], reading.read(tmp_path / "set.json", images), images, seed=0, resamples=1
    )

    assert len(copies) == 5
    assert measured.evaluations[0].images == 2
    text = "\n".join(measured.truth.faults.lines())
    assert f"images without annotation, left out: {paths[4].name}" in text
    assert f"{paths[2].name}: expected a whole image" in text
    assert "images of another size than their annotations say, left out" in text


def test_no_known_object_on_the_images_is_refused(file, labelled):
    paths, annotations = labelled

    with pytest.raises(SourceError, match="expected objects that the model knows on the 1 images"):
        measure([file], reading.read(annotations, paths), paths[:1], seed=0, resamples=1)


def test_without_pycocotools_the_error_says_what_to_type(file, truth, labelled, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pycocotools.cocoeval", None)

    with pytest.raises(DependencyError, match=r"type: pip install 'edge-vision\[eval\]'"):
        measure([file], truth, labelled[0], seed=0, resamples=1)


def write_voc(folder, truth):
    folder.mkdir()
    names = truth.category_names()
    for image in truth.fields["images"]:
        objects = [
            f"<object><name>{escape(names[row['category_id']])}</name>"
            f"<difficult>{row['iscrowd']}</difficult><bndbox>"
            f"<xmin>{row['bbox'][0]!r}</xmin><ymin>{row['bbox'][1]!r}</ymin>"
            f"<xmax>{row['bbox'][0] + row['bbox'][2]!r}</xmax>"
            f"<ymax>{row['bbox'][1] + row['bbox'][3]!r}</ymax></bndbox></object>"
            for row in truth.fields["annotations"]
            if row["image_id"] == image["id"]
        ]
        text = f"<annotation><filename>{image['file_name']}</filename>{''.join(objects)}"
        (folder / f"{image['id']}.xml").write_text(f"{text}</annotation>")
    return folder


def write_yolo(folder, truth):
    folder.mkdir()
    names = list(truth.category_names().values())
    (folder / "classes.txt").write_text("\n".join(names))
    for number, path in truth.files.items():
        height, width = cv2.imread(str(path)).shape[:2]
        lines = []
        for row in truth.fields["annotations"]:
            if row["image_id"] == number and not row["iscrowd"]:
                x, y, w, h = row["bbox"]
                class_id = names.index(truth.category_names()[row["category_id"]])
                centre = ((x + w / 2) / width, (y + h / 2) / height)
                lines.append(f"{class_id} {centre[0]} {centre[1]} {w / width} {h / height}")
        (folder / f"{path.stem}.txt").write_text("\n".join(lines))
    return folder


def write_coco(folder, truth, *, crowds):
    folder.mkdir()
    rows = [row for row in truth.fields["annotations"] if crowds or not row["iscrowd"]]
    (folder / "x.json").write_text(json.dumps({**truth.fields, "annotations": rows}))
    return folder


@pytest.mark.parametrize(
    ("write", "crowds"), [(write_voc, True), (write_yolo, False)], ids=["voc", "yolo"]
)
def test_the_form_of_the_annotations_does_not_matter(write, crowds, file, labelled, tmp_path):
    paths, whole = labelled[0], reading.read(labelled[1], labelled[0])
    folders = write(tmp_path / "form", whole), write_coco(tmp_path / "coco", whole, crowds=crowds)

    other, coco = (
        measure([file], reading.read(folder, paths), paths, seed=0, resamples=5)
        .evaluations[0]
        for folder in folders
    )  # fmt: skip

    assert other.objects == coco.objects > 20
    assert other.metrics == pytest.approx(coco.metrics, abs=1e-9)
    assert other.confusion.counts.sum() == coco.confusion.counts.sum()


def test_a_folder_of_nothing_known_is_refused(tmp_path, labelled):
    (tmp_path / "notes.md").write_text("x")

    with pytest.raises(SourceError, match="expected a COCO file, VOC XML files, YOLO"):
        reading.read(tmp_path, labelled[0])


def test_only_some_images_are_taken_by_name(tmp_path, labelled):
    paths = labelled[0]
    (tmp_path / "test.txt").write_text(f"{paths[3].stem}\n{paths[1].name}\n")

    assert reading.chosen(paths, tmp_path / "test.txt") == [paths[1], paths[3]]

    (tmp_path / "test.txt").write_text("nobody\n")
    with pytest.raises(SourceError, match="expected names of the images, found none of them"):
        reading.chosen(paths, tmp_path / "test.txt")


@pytest.mark.parametrize("make", [False, True], ids=["missing", "empty"])
def test_a_folder_without_images_is_refused(tmp_path, make):
    folder = tmp_path / "images"
    if make:
        folder.mkdir()

    with pytest.raises(SourceError, match="expected"):
        reading.find_images(folder)


def test_hidden_files_are_left_alone(tmp_path):
    for name in ("a.png", ".b.png", ".cache/c.png", "deep/d.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    assert [path.name for path in reading.find_images(tmp_path)] == ["a.png", "d.jpg"]
