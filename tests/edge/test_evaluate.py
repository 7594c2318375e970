"""mAP equals pycocotools called by hand; labels and categories meet by name."""

from __future__ import annotations

import contextlib
import io
import json

import cv2
import factories
import pytest
from reference import coco_scenes

from edge import manifest
from edge.detections import Detections
from edge.errors import DependencyError, ModelError, SourceError
from edge.evaluate import (
    METRICS,
    coco_map,
    coco_results,
    judge,
    match_labels,
    open_detector,
    read_truth,
)
from edge.models import default_model_path

coco = pytest.importorskip("pycocotools.coco")
cocoeval = pytest.importorskip("pycocotools.cocoeval")


@pytest.fixture(scope="module")
def file():
    return manifest.read(default_model_path())


@pytest.fixture(scope="module")
def labelled(file, tmp_path_factory):
    """Return (image paths, truth)."""
    paths, annotations = coco_scenes.write_set(tmp_path_factory.mktemp("set"), file)
    return paths, read_truth(annotations)


@pytest.fixture(scope="module")
def match(file, labelled):
    return match_labels(file.manifest.labels, labelled[1])


@pytest.fixture(scope="module")
def results(file, labelled, match):
    paths, truth = labelled
    numbered = zip(truth.image_ids(paths), (cv2.imread(str(path)) for path in paths), strict=True)
    return coco_results(open_detector(file), numbered, match)


def test_map_equals_pycocotools_called_by_hand(labelled, match, results, tmp_path):
    paths, truth = labelled
    (tmp_path / "results.json").write_text(json.dumps(results))
    with contextlib.redirect_stdout(io.StringIO()):
        ground = coco.COCO(str(truth.path))
        evaluation = cocoeval.COCOeval(
            ground, ground.loadRes(str(tmp_path / "results.json")), "bbox"
        )
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()

    found = coco_map(
        truth, results, image_ids=truth.image_ids(paths), category_ids=match.known_ids()
    )

    assert 0.1 < found["mAP50-95"] < 0.9
    by_hand = {name: evaluation.stats[index] for name, index in METRICS.items()}
    assert found == pytest.approx({name: v for name, v in by_hand.items() if v >= 0}, abs=0)


def test_nothing_is_printed(labelled, match, results, capfd):
    paths, truth = labelled

    coco_map(truth, results, image_ids=truth.image_ids(paths), category_ids=match.known_ids())

    assert capfd.readouterr().out == ""


def test_no_detections_at_all_give_zero(labelled, match):
    paths, truth = labelled

    found = coco_map(truth, [], image_ids=truth.image_ids(paths), category_ids=match.known_ids())

    assert found["mAP50-95"] == 0


def test_images_without_any_object_leave_every_metric_out(labelled, match):
    paths, truth = labelled
    (first,) = truth.image_ids(paths[:1])

    assert coco_map(truth, [], image_ids=[first], category_ids=match.known_ids()) == {}


def test_results_are_boxes_of_source_pixels_as_x_y_width_height(labelled, match, results):
    paths, truth = labelled
    known = set(match.known_ids())
    shapes = [cv2.imread(str(path)).shape for path in paths]
    by_id = dict(zip(truth.image_ids(paths), shapes, strict=True))

    assert results
    for row in results:
        height, width, _ = by_id[row["image_id"]]
        x_min, y_min, box_width, box_height = row["bbox"]
        assert row["category_id"] in known
        assert 0 <= x_min <= x_min + box_width <= width + 1e-3
        assert 0 <= y_min <= y_min + box_height <= height + 1e-3


def test_detections_of_labels_without_a_category_are_left_out(labelled, file):
    _, truth = labelled
    labels = ["unheard-of"] * len(file.manifest.labels)
    labels[0] = "person"
    found = factories.detections(9)

    class Fixed:
        def detect(self, image):
            return found

    rows = coco_results(Fixed(), [(1, None)], match_labels(labels, truth))

    assert len(rows) == 3
    assert [row["score"] for row in rows] == [float(score) for score in found.scores[::3]]


def test_labels_and_categories_that_do_not_meet_are_listed(labelled):
    _, truth = labelled

    match = match_labels(("person", "", "gnome", "cat"), truth)

    assert match.labels_without_category == ("gnome",)
    assert "dog" in match.categories_without_label
    assert "cat" not in match.categories_without_label
    names = {number: category["name"] for number, category in truth.coco.cats.items()}
    assert [names.get(number) for number in match.category_ids] == ["person", None, None, "cat"]


def test_labels_that_meet_no_category_are_refused(labelled):
    with pytest.raises(ModelError, match=r"none of its categories \(airplane, .* \(gnome …\)"):
        match_labels(("", "gnome"), labelled[1])


def test_the_shipped_labels_meet_all_80_categories(file, match):
    assert match.labels_without_category == ()
    assert match.categories_without_label == ()
    assert len(match.known_ids()) == 80


def test_an_image_that_is_not_annotated_is_refused_by_name(labelled, tmp_path):
    with pytest.raises(SourceError, match=r"other\.png: expected an image that .* annotates"):
        labelled[1].image_ids([tmp_path / "other.png"])


def test_one_area_is_a_quarter_of_the_judgements(labelled, match, results):
    paths, truth = labelled
    ids, known = truth.image_ids(paths), match.known_ids()

    one = judge(truth, results, image_ids=ids, category_ids=known, all_areas=False)

    assert len(one.evalImgs) == len(ids) * len(known)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("{", "found no JSON", id="cut"),
        pytest.param("[]", "found no 'images' in it", id="list"),
        pytest.param('{"images": [], "annotations": []}', "found no 'categories'", id="partly"),
    ],
)
def test_what_are_no_annotations_is_refused(tmp_path, text, message):
    (tmp_path / "instances.json").write_text(text)

    with pytest.raises(SourceError, match=message):
        read_truth(tmp_path / "instances.json")


def test_without_pycocotools_the_error_says_what_to_install(labelled, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pycocotools.coco", None)

    with pytest.raises(DependencyError, match=r"pip install 'edge-vision\[converter\]'"):
        read_truth(labelled[1].path)


def test_an_image_without_detections_gives_no_rows(match):
    class Blind:
        def detect(self, image):
            return Detections.none()

    assert coco_results(Blind(), [(1, None)], match) == []
