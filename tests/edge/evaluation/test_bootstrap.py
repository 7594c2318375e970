"""A resample is judged as pycocotools would; draws are shared, and the same each time."""

from __future__ import annotations

import contextlib
import copy
import io

import numpy as np
import pytest

from edge.benchmark.spread import interval
from edge.evaluation.judge import judge
from edge.evaluation.matching import average_precision, collect
from edge.evaluation.measuring import bootstrap

pytest.importorskip("pycocotools", reason="pycocotools is not installed")


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
def test_a_resample_has_the_precision_that_pycocotools_accumulates(judged, seed):
    count = len(judged.params.imgIds)
    chosen = np.sort(np.random.default_rng(seed).integers(0, count, count))

    found = average_precision(collect(judged), chosen)

    np.testing.assert_allclose(
        found, accumulated_by_pycocotools(judged, chosen), rtol=0, atol=1e-12
    )


def test_matches_of_all_sizes_are_taken_out_of_a_judge_of_every_size(judged, truth, box_run):
    every = judge(
        truth,
        box_run.results,
        image_ids=sorted(truth.files),
        category_ids=box_run.match.known_ids(),
    )
    chosen = np.arange(len(truth.files))

    np.testing.assert_array_equal(collect(every).values(chosen), collect(judged).values(chosen))


def test_images_without_an_object_have_no_precision(judged):
    assert np.isnan(collect(judged).values(np.array([0]))).all()


def test_the_bootstrap_gives_the_same_numbers_for_the_same_seed(judged):
    matches, images = [collect(judged)], len(judged.params.imgIds)

    first, again, other = (
        bootstrap(matches, images=images, seed=seed, resamples=20) for seed in (1, 1, 2)
    )

    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_both_models_are_judged_on_the_same_draw(judged):
    drawn = bootstrap([collect(judged)] * 2, images=len(judged.params.imgIds), seed=3, resamples=20)

    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 1])
    assert len(np.unique(drawn[:, 0, 0])) > 1


class Mean:
    """A sample whose metric is a mean, of which the interval is known."""

    def __init__(self, values):
        self.numbers = values

    def values(self, chosen):
        return np.array([self.numbers[chosen].mean()])


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution():
    sample = Mean(np.random.default_rng(0).normal(size=400))

    low, high = interval(bootstrap([sample], images=400, seed=1, resamples=2000)[:, 0, 0])

    half = 1.96 * sample.numbers.std() / np.sqrt(400)
    assert low == pytest.approx(sample.numbers.mean() - half, abs=0.01)
    assert high == pytest.approx(sample.numbers.mean() + half, abs=0.01)


def test_a_set_of_which_no_draw_shows_an_object_ends_nevertheless():
    drawn = bootstrap([Mean(np.full(3, np.nan))], images=3, seed=0, resamples=2)

    assert np.isnan(drawn).all()
