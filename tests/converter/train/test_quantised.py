"""Training for int8: what comes out is int8, its manifest tells, and the auto-repair tries it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from reference import bright_net

from calibration.dataset import sample
from converter import export
from converter.graph.edits import with_ops
from converter.graph.reading import read
from converter.graph.values import Op, Tensor
from converter.graph.writing import write
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


def observed(folder, file=None):
    return Observations(file or bright_net.model_file(), sample(folder, count=28, seed=0))


def with_silu(file):
    """Return the model with a SiLU behind its stem."""
    graph = read(file.flatbuffer, file.path)
    stem = graph.ops[0]
    plain = {"fusedActivationFunction": "NONE"}
    tensors = [Tensor(name, graph.shape(stem.output)) for name in ("raw", "gate")]
    silu = (
        replace(stem, outputs=("raw",)),
        Op("LOGISTIC", ("raw",), ("gate",), {}),
        Op("MUL", ("raw", "gate"), stem.outputs, plain),
    )
    return export.remade(
        file, write(with_ops(graph, {stem: silu}, tensors=tensors)), "a SiLU", tools={}
    )


def others(folder, observations):
    return tuple(path for path in sorted(folder.iterdir()) if path not in observations.images.paths)


def train(folder, recipe="int8", *, file=None, **given):
    seen = observed(folder, file)
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


@pytest.mark.parametrize("has_silu", [True, False])
def test_only_a_net_with_silus_is_equalised_before_it_is_trained(images, has_silu):
    plain = bright_net.model_file()
    made = train(images, file=with_silu(plain) if has_silu else plain)
    assert ("equalisation" in made.own_manifest().provenance.steps[-1]) == has_silu


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
