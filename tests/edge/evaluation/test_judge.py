"""mAP equals pycocotools called by hand; labels and categories meet by name."""

from __future__ import annotations

import contextlib
import io
import json

import factories
import pytest

from edge.capture.images import load_image
from edge.evaluation import reading
from edge.evaluation.box_run import BoxRun
from edge.evaluation.judge import METRICS, curves, judge, result_rows, summarize
from edge.evaluation.report import evaluation_fields
from edge.evaluation.truth import match_labels, numbered

coco = pytest.importorskip("pycocotools.coco")
cocoeval = pytest.importorskip("pycocotools.cocoeval")


def by_hand(annotations, results, folder):
    """Return pycocotools' own figures of a results file and the annotations as they lie there."""
    (folder / "results.json").write_text(json.dumps(results))
    with contextlib.redirect_stdout(io.StringIO()):
        ground = coco.COCO(str(annotations))
        evaluation = cocoeval.COCOeval(ground, ground.loadRes(str(folder / "results.json")), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: evaluation.stats[index] for name, index in METRICS.items()}


def test_map_equals_pycocotools_called_by_hand(labelled, truth, box_run, tmp_path):
    evaluation = box_run.evaluation(sorted(truth.files), box_run.match.known_ids())

    expected = by_hand(labelled[1], box_run.results, tmp_path)

    assert 0.1 < evaluation.metrics["mAP50-95"] < 0.9
    assert evaluation.metrics == {name: value for name, value in expected.items() if value >= 0}


@pytest.mark.assets
def test_map_of_coco_photographs_equals_pycocotools_to_the_last_digit(file, assets, tmp_path):
    folder = assets / "data" / "coco_train178"
    images = reading.find_images(folder / "images")
    truth = reading.read(folder / "instances.json", images)
    run = BoxRun(file, truth)
    for number, path in numbered(truth, images):
        run.see(number, load_image(path))

    evaluation = run.evaluation(sorted(truth.files), run.match.known_ids())

    assert truth.faults.lines() == []
    assert evaluation.metrics == by_hand(folder / "instances.json", run.results, tmp_path)
    assert evaluation.metrics["mAP50-95"] == pytest.approx(0.304, abs=0.01)
    mean = sum(row["AP50-95"] for row in evaluation.classes.values()) / len(evaluation.classes)
    assert mean == pytest.approx(evaluation.metrics["mAP50-95"], abs=1e-12)
    assert json.dumps(evaluation_fields(evaluation))


def test_nothing_is_printed(truth, box_run, capfd):
    summarize(
        judge(truth, box_run.results, image_ids=[2, 3], category_ids=box_run.match.known_ids())
    )

    assert capfd.readouterr().out == ""


def test_no_detections_at_all_give_zero(truth, box_run):
    judged = judge(truth, [], image_ids=sorted(truth.files), category_ids=box_run.match.known_ids())

    assert summarize(judged)["mAP50-95"] == 0
    assert {row["AP50-95"] for row in curves(judged).values()} == {0}


def test_images_without_any_object_leave_every_metric_out(truth, box_run):
    judged = judge(truth, [], image_ids=[1], category_ids=box_run.match.known_ids())

    assert summarize(judged) == {}
    assert curves(judged) == {}


def test_results_are_boxes_of_source_pixels_as_x_y_width_height(truth, box_run):
    shapes = {number: load_image(path).shape for number, path in truth.files.items()}

    assert box_run.results
    for row in box_run.results:
        height, width, _ = shapes[row["image_id"]]
        x_min, y_min, box_width, box_height = row["bbox"]
        assert row["category_id"] in box_run.match.known_ids()
        assert 0 <= x_min <= x_min + box_width <= width + 1e-3
        assert 0 <= y_min <= y_min + box_height <= height + 1e-3


def test_judging_leaves_the_results_as_they_were(truth, box_run):
    before = [dict(row) for row in box_run.results]

    judge(truth, box_run.results, image_ids=[2], category_ids=box_run.match.known_ids())

    assert box_run.results == before


def test_detections_of_labels_without_a_category_are_left_out(truth, file):
    labels = ["unheard-of"] * len(file.description.labels)
    labels[0] = "person"
    match = match_labels(labels, truth.category_names(), truth.path)
    found = factories.detections(9)

    rows = list(result_rows(1, found, match))

    assert [row["score"] for row in rows] == [float(score) for score in found.scores[::3]]
