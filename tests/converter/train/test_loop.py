"""The loop on a tiny net: it learns, resumes exactly, stops for reasons, and leaves whole files."""

import csv
import os
import signal

import numpy as np
import pytest

from converter.train import checkpoints
from converter.train.loop import IMAGE, Plan, fit
from edge.errors import ModelError

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.converter

SLOPE = 3.0


def net():
    keras.utils.set_random_seed(1)
    image = keras.Input((4, 4, 2))
    x = keras.layers.Conv2D(3, 3, padding="same", use_bias=False)(image)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, {"value": x})


def batch(step):
    random = np.random.default_rng((7, step))
    images = random.uniform(0, 1, (8, 4, 4, 2)).astype(np.float32)
    return {IMAGE: images, "wanted": images.mean(axis=(1, 2, 3))[:, None] * SLOPE}


def loss(outputs, batch):
    error = keras.ops.mean((outputs["value"] - batch["wanted"]) ** 2)
    return error, {"squares": error}


def scorer(model):
    def score():
        test = batch(10**6)
        found = np.asarray(model(test[IMAGE], training=False)["value"])
        return -float(((found - test["wanted"]) ** 2).mean())

    return score


def plan(folder=None, **given):
    wanted = {"steps": 60, "batch": 8, "learning_rate": 0.03, "warmup_steps": 5,
              "evaluate_every": 20, "patience": 3}  # fmt: skip
    return Plan(folder=folder, **wanted | given)


def run(folder=None, *, resume=False, loss=loss, batch=batch, **given):
    model = net()
    done = fit(model, loss, batch, score=scorer(model), plan=plan(folder, **given), resume=resume)
    return model, done


def test_it_learns_and_ends_with_the_best_weights(tmp_path):
    model, done = run(tmp_path)
    assert done.score > 0.5 * scorer(net())()  # scores are below 0
    assert scorer(model)() == pytest.approx(done.score)
    assert done.score == max(row["score"] for row in done.rows)
    assert done.why == "all steps are done"


def test_the_log_has_a_row_an_evaluation_and_the_curves_are_a_picture(tmp_path):
    _, done = run(tmp_path)
    with (tmp_path / checkpoints.LOG).open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["step"]) for row in rows] == [20, 40, 60]
    assert float(rows[-1]["score"]) == pytest.approx(done.rows[-1]["score"], rel=1e-4)
    assert (tmp_path / checkpoints.CURVES).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("at", [40, 33], ids=["behind an evaluation", "between two"])
def test_a_run_that_was_interrupted_and_resumed_ends_as_one_that_was_not(tmp_path, at):
    whole, wanted = run(tmp_path / "whole")

    def interrupting(step):
        if step == at:  # made one step ahead, on another thread
            os.kill(os.getpid(), signal.SIGINT)
        return batch(step)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", batch=interrupting)
    assert 0 < checkpoints.read(tmp_path / "parts")[1]["step"] < 60
    model, done = run(tmp_path / "parts", resume=True)
    assert done == wanted
    for found, expected in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_loss_that_is_no_number_names_its_step_and_the_last_good_checkpoint(tmp_path):
    def spoilt(step):
        found = batch(step)
        return found | {"wanted": found["wanted"] * (np.nan if step == 25 else 1)}

    with pytest.raises(
        ModelError, match=r"step 26: .*found nan; the last good checkpoint is step 20"
    ):
        run(tmp_path, batch=spoilt)
    assert all(np.isfinite(one).all() for one in checkpoints.read(tmp_path)[0]["weights"])


def test_weights_that_are_no_numbers_behind_a_loss_that_is_one_are_not_kept(tmp_path):
    def kept(step):  # the root of 0 has a slope that is no number
        return batch(step) | {"kept": np.full(8, float(step != 39), np.float32)}

    def rooted(outputs, batch):
        error, parts = loss(outputs, batch)
        root = keras.ops.sqrt(keras.ops.mean(outputs["value"] * 0) + keras.ops.mean(batch["kept"]))
        return error + root, parts

    with pytest.raises(
        ModelError, match=r"step 40: expected weights .*the last good checkpoint is step 20"
    ):
        run(tmp_path, batch=kept, loss=rooted)
    assert all(np.isfinite(one).all() for one in checkpoints.read(tmp_path)[0]["weights"])


def test_minutes_that_are_over_at_once_leave_a_step_and_a_score():
    _, done = run(minutes=1e-9)
    assert done.steps == 1
    assert np.isfinite(done.score)


def test_a_score_that_gets_no_better_lowers_the_rate_and_then_ends_it():
    model = net()
    done = fit(
        model, loss, batch, score=lambda: 0.0, plan=plan(steps=400, evaluate_every=2, patience=2)
    )
    assert done.steps == 2 * (1 + 3 * 2)
    assert done.best_step == 2
    assert done.rows[-1]["learning_rate"] < 0.3 * done.rows[2]["learning_rate"]


def test_resume_without_a_checkpoint_or_with_that_of_another_net_is_refused(tmp_path):
    with pytest.raises(ModelError, match="expected a checkpoint to go on from"):
        run(tmp_path, resume=True)
    run(tmp_path, steps=20)
    with pytest.raises(ModelError, match="found another's"):
        run(tmp_path, steps=20, seed=5, resume=True)
    (tmp_path / checkpoints.CHECKPOINT).write_bytes(b"PK half a file")
    with pytest.raises(ModelError, match="none that can be read"):
        run(tmp_path, resume=True)


def test_sgd_trains_as_well():
    _, done = run(optimizer="sgd")
    assert done.score > 0.5 * scorer(net())()
