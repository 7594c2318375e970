"""The bootstrap judges what pycocotools judges, and says the same each time."""

from __future__ import annotations

import contextlib
import copy
import io
import logging

import numpy as np
import pytest
from reference import coco_scenes

from calibration.dataset import split
from calibration.images import read_image
from converter.accuracy import bootstrap, compare
from converter.resampling import average_precision, collect
from edge import manifest
from edge.errors import SourceError
from edge.evaluate import coco_map, coco_results, judge, match_labels, open_detector, read_truth
from edge.manifest import ModelFile
from edge.models import default_model_path

pytest.importorskip("pycocotools", reason="pycocotools is not installed")


@pytest.fixture(scope="module")
def file():
    return manifest.read(default_model_path())


@pytest.fixture(scope="module")
def worse(file):
    """Return the same model as it would be if suppression let doubles live."""
    changed = file.manifest.model_copy(update={"iou_threshold": 0.99})
    return ModelFile(file.path, file.flatbuffer, changed, file.anchors)


@pytest.fixture(scope="module")
def labelled(file, tmp_path_factory):
    """Return (image paths, annotations)."""
    return coco_scenes.write_set(tmp_path_factory.mktemp("set"), file)


@pytest.fixture(scope="module")
def evaluation(file, labelled):
    paths, annotations = labelled
    truth = read_truth(annotations)
    match = match_labels(file.manifest.labels, truth)
    numbered = [(i, read_image(p)) for i, p in zip(truth.image_ids(paths), paths, strict=True)]
    results = coco_results(open_detector(file), numbered, match)
    return judge(
        truth,
        results,
        image_ids=truth.image_ids(paths),
        category_ids=match.known_ids(),
        all_areas=False,
    )


def accumulated_by_pycocotools(evaluation, chosen):
    """Return `(T,)`, pycocotools' own accumulation over images that may stand there twice."""
    again = copy.copy(evaluation)
    again.params = copy.deepcopy(evaluation.params)
    count = len(evaluation.params.imgIds)
    rows = [
        evaluation.evalImgs[start : start + count]
        for start in range(0, len(evaluation.evalImgs), count)
    ]
    again.evalImgs = [row[number] for row in rows for number in chosen]
    again.params.imgIds = [evaluation.params.imgIds[number] for number in chosen]
    again._paramsEval = copy.deepcopy(again.params)
    with contextlib.redirect_stdout(io.StringIO()):
        again.accumulate()
    precision = again.eval["precision"][:, :, :, 0, -1]  # (T, R, K)
    return np.array([row[row > -1].mean() for row in precision])


@pytest.mark.parametrize("seed", range(5))
def test_a_resample_has_the_precision_that_pycocotools_accumulates(evaluation, seed):
    count = len(evaluation.params.imgIds)
    chosen = np.sort(np.random.default_rng(seed).integers(0, count, count))

    found = average_precision(collect(evaluation), chosen)

    np.testing.assert_allclose(
        found, accumulated_by_pycocotools(evaluation, chosen), rtol=0, atol=1e-12
    )


def test_images_without_an_object_have_no_precision(evaluation):
    assert np.isnan(average_precision(collect(evaluation), [0])).all()


def test_the_bootstrap_gives_the_same_numbers_for_the_same_seed(evaluation):
    matches = [collect(evaluation)]

    first, again, other = (bootstrap(matches, seed=seed, resamples=20) for seed in (1, 1, 2))

    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_both_models_are_judged_on_the_same_draw(evaluation):
    drawn = bootstrap([collect(evaluation)] * 2, seed=3, resamples=20)

    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 1])
    assert len(np.unique(drawn[:, 0, 0])) > 1


def test_a_model_loses_nothing_against_itself(file, labelled):
    paths, annotations = labelled

    rows = compare(
        file, file, images=paths, annotations=annotations, dataset="scenes", seed=0, resamples=20
    )

    assert [row.metric for row in rows] == ["mAP50-95", "mAP50"]
    for row in rows:
        assert (row.images, row.dataset) == (len(paths), "scenes")
        assert row.float_value == row.quantized_value > 0
        assert (row.difference, row.difference_interval) == (0, (0, 0))


def test_values_are_those_of_pycocotools_and_the_interval_tells_a_real_loss(file, worse, labelled):
    paths, annotations = labelled
    rows = compare(
        file, worse, images=paths, annotations=annotations, dataset="scenes", seed=0, resamples=100
    )

    truth = read_truth(annotations)
    match, ids = match_labels(file.manifest.labels, truth), truth.image_ids(paths)
    for row in rows:
        values = []
        for each in (file, worse):
            numbered = zip(ids, map(read_image, paths), strict=True)
            results = coco_results(open_detector(each), numbered, match)
            found = coco_map(truth, results, image_ids=ids, category_ids=match.known_ids())
            values.append(found[row.metric])
        assert (row.float_value, row.quantized_value) == pytest.approx(values, abs=5e-6)
        assert row.difference < 0
        low, high = row.difference_interval
        # Of 18 images a resample may miss a class altogether, which shifts its mAP: the interval
        # need not hold the value itself, but it must leave no doubt of the loss.
        assert low < high < 0


def test_the_order_of_the_images_does_not_matter(file, worse, labelled):
    paths, annotations = labelled
    options = {"annotations": annotations, "dataset": "scenes", "seed": 0, "resamples": 5}

    assert compare(file, worse, images=paths, **options) == compare(
        file, worse, images=paths[::-1], **options
    )


def test_progress_counts_the_images_of_both_models(file, labelled):
    paths, annotations = labelled
    told = []

    compare(
        file, file, images=paths[:4], annotations=annotations, dataset="scenes", seed=0,
        resamples=1, progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip

    assert told == [(done, 8) for done in range(1, 9)]


def test_images_without_a_known_object_are_refused(file, labelled):
    paths, annotations = labelled

    with pytest.raises(SourceError, match="expected objects that the model knows on the 1 images"):
        compare(
            file, file, images=paths[:1], annotations=annotations, dataset="x", seed=0, resamples=1
        )


def test_labels_that_are_not_judged_are_logged(file, labelled, caplog):
    paths, annotations = labelled
    labels = ("gnome", *file.manifest.labels[1:])
    changed = file.manifest.model_copy(update={"labels": labels})
    stranger = ModelFile(file.path, file.flatbuffer, changed, file.anchors)

    with caplog.at_level(logging.WARNING):
        compare(
            stranger, stranger, images=paths, annotations=annotations, dataset="x", seed=0,
            resamples=1,
        )  # fmt: skip

    assert "not judged, as the annotations lack them: gnome" in caplog.text
    assert "not judged, as the model lacks them: person" in caplog.text


@pytest.mark.assets
def test_the_shipped_model_finds_what_is_on_real_photographs(file, assets):
    folder = assets / "data" / "coco_train178"
    _, held_back = split(sorted((folder / "images").glob("*.jpg")), seed=0, calibration_count=138)

    (strict, loose) = compare(
        file, file, images=held_back, annotations=folder / "instances.json", dataset="coco",
        seed=0, resamples=1,
    )  # fmt: skip

    assert 0.2 < strict.quantized_value < loose.quantized_value < 0.8
