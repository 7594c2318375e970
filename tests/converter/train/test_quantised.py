"""Training for int8: what comes out is int8, its manifest tells, and the auto-repair tries it."""

from __future__ import annotations

import pytest
from reference import bright_net

from calibration.dataset import sample
from converter.judge.gate import Budget
from converter.quantize.observations import Observations
from converter.quantize.recipe import load_recipe
from converter.search import attempts
from converter.search.attempts import TRAINED, Trials
from converter.train.quantised import train_quantised
from edge.errors import ModelError

pytestmark = pytest.mark.converter


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    bright_net.write_images(folder, 40)
    return folder


def observed(folder):
    return Observations(bright_net.model_file(), sample(folder, count=28, seed=0))


def others(folder, observations):
    return tuple(path for path in sorted(folder.iterdir()) if path not in observations.images.paths)


def train(folder, recipe="int8", **given):
    seen = observed(folder)
    return train_quantised(
        seen, load_recipe(recipe), select=others(folder, seen), **{"minutes": 0, "steps": 4} | given
    )


def test_a_model_trained_for_int8_is_int8_and_says_how_it_was_trained(images):
    made = train(images)
    assert made.own_manifest().provenance.recipe == "int8"
    *_, trained, quantised = made.own_manifest().provenance.steps
    assert "trained for int8: 4 steps of 8 of 28 plain images, seed 0; agreement" in trained
    assert quantised.startswith("quantised after training with recipe int8")
    assert made.own_manifest().calibration is not None
    assert made.flatbuffer == train(images).flatbuffer


def test_only_int8_is_trained_for(images):
    with pytest.raises(ModelError, match="expected a recipe of int8 throughout to train for"):
        train(images, "float16")


def test_the_repair_of_a_refused_model_trains_before_it_keeps_layers_float(images, monkeypatch):
    monkeypatch.setattr(attempts, "free_repairs", lambda _: ())
    monkeypatch.setattr(attempts, "kept_layers", lambda *_: [])
    seen, recipe = observed(images), load_recipe("int8")
    trials = Trials(seen, others(images, seen), Budget(tolerance=1e-9))
    trials.run("recipe int8", recipe)
    calls = []

    def trainer(observations, recipe):
        calls.append(recipe)
        return trials.files[0]

    trials.repair(recipe, trainer)
    assert [attempt.what for attempt in trials.attempts] == ["recipe int8", TRAINED]
    assert calls == [recipe]
