"""One model's whole way: what passes at once is left alone, what fails is repaired or refused."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from reference import bright_net

from calibration.image_sets import draw_sets
from converter.conversion import Images, convert, describe_attempts
from converter.judge.gate import Budget
from converter.judge.kinds import KINDS
from converter.quantize.observations import Observations
from converter.quantize.recipe import load_recipe, with_kept
from converter.search.attempts import Trials
from edge.errors import ModelError

ANYTHING, OUT_OF_REACH = Budget(tolerance=99), Budget(tolerance=-1)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    bright_net.write_images(folder, 10)
    return Images(draw_sets(folder, seed=0), annotations=None, dataset="bright")


def trials_of(file, images):
    sets = images.sets
    return Trials(Observations(file, sets.calibrate), sets.select.paths, ANYTHING)


def test_what_passes_at_once_is_tried_once(images):
    done = convert(bright_net.model_file(), images, load_recipe("int8"), budget=ANYTHING)

    assert len(done.attempts) == 1
    assert not done.verdict.is_refused
    assert done.latencies == {}


def test_the_verdict_rests_on_images_that_nothing_was_chosen_by(images):
    done = convert(bright_net.model_file(), images, load_recipe("int8"), budget=OUT_OF_REACH)

    sets = images.sets
    assert [row.path for row in done.bill.images] == list(sets.judge.paths)
    for attempt in done.attempts:
        seen = [row.path for row in attempt.bill.images]
        assert seen == [*sets.select.paths, *sets.calibrate.paths]
    named = done.quantized.own_manifest().image_sets
    assert {name: one.digest for name, one in named.items()} == {
        name: getattr(sets, name).digest for name in ("calibrate", "select", "judge")
    }
    assert len(named["calibrate"].contents) == len(sets.calibrate.paths)
    assert named["judge"].contents == ()


def test_what_is_clear_on_a_few_images_is_looked_at_on_no_others(images, monkeypatch):
    monkeypatch.setitem(KINDS, "detection", replace(KINDS["detection"], least=1))
    done = convert(bright_net.model_file(), images, load_recipe("int8"), budget=ANYTHING)

    (attempt,) = done.attempts
    assert [row.path for row in attempt.bill.images] == list(images.sets.select.paths)
    assert math.isnan(attempt.bill.likeness.floor)
    assert [row.path for row in done.bill.images] == list(images.sets.judge.paths)
    assert not math.isnan(done.bill.likeness.floor)
    assert not done.verdict.is_refused


def test_each_step_stands_in_the_manifest(images):
    done = convert(bright_net.model_file(), images, load_recipe("int8"), budget=ANYTHING)
    before, after = (file.own_manifest().provenance for file in (done.reference, done.quantized))

    assert after.steps[0] == before.changes
    assert after.steps[1].startswith("quantised after training with recipe int8")
    assert after.changes == "; ".join(after.steps)
    assert describe_attempts(done)[0].endswith(" s, good enough")


def test_the_manifest_tells_what_the_calibration_images_look_like_to_the_model(images):
    done = convert(bright_net.model_file(), images, load_recipe("int8"), budget=ANYTHING)

    sight = done.quantized.own_manifest().sight
    assert sight.images == len(images.sets.calibrate.paths)
    assert 0 <= sight.saturated_ratio <= 1
    assert set(sight.heads) == set(done.quantized.description.outputs)
    for head in sight.heads.values():
        assert sum(head.histogram) == pytest.approx(1, abs=1e-3)
        assert head.lowest_ratio <= head.histogram[0] + 1e-5
        assert head.highest_ratio <= head.histogram[-1] + 1e-5
    assert done.quantized.description.sight == sight


def test_repair_can_be_switched_off(images):
    done = convert(
        bright_net.model_file(), images, load_recipe("int8"), budget=OUT_OF_REACH, repair=False
    )

    assert len(done.attempts) == 1
    assert done.verdict.is_refused


def test_where_nothing_passes_the_best_is_kept_with_all_that_was_tried(images):
    recipe = load_recipe("int8")
    done = convert(bright_net.model_file(), images, recipe, budget=OUT_OF_REACH)

    tried = [(a.recipe.repairs, a.recipe.calibrator, a.recipe.keep_float) for a in done.attempts]
    assert len(tried) == len(set(map(str, tried))) > 5
    assert done.attempts[0].recipe == recipe.replace(repairs=("bias_correction",))
    distances = [attempt.bill.likeness.distance for attempt in done.attempts]
    assert distances[done.chosen] == min(distances)
    assert done.verdict.is_refused
    assert any(attempt.recipe.is_mixed for attempt in done.attempts)


def test_of_what_passes_the_fewest_layers_are_kept_float(images):
    trials = trials_of(bright_net.model_file(), images)
    recipe = load_recipe("int8")
    for names in (["stem", "raw_boxes"], ["raw_boxes"], ["stem", "raw_scores"]):
        trials.run(" and ".join(names), with_kept(recipe, names))

    assert trials.attempts[trials.best].what == "raw_boxes"


def test_an_attempt_that_cannot_be_made_is_told_and_the_search_goes_on(images):
    file = bright_net.model_file(leaky=True)
    trials = trials_of(file, images)
    whole = load_recipe("int8").replace(quantizer="litert")
    kept = with_kept(whole, ["active"])

    assert trials.run("kept", kept)
    assert not trials.run("whole", whole)
    assert trials.run("kept again", kept)

    assert [attempt.bill is None for attempt in trials.attempts] == [False, True, False]
    assert trials.best != 1
    assert "LEAKY_RELU" in trials.attempts[1].figure


def test_a_recipe_that_cannot_be_made_at_all_is_an_error(images):
    recipe = load_recipe("int8").replace(quantizer="litert")

    with pytest.raises(ModelError, match="LEAKY_RELU"):
        convert(bright_net.model_file(leaky=True), images, recipe, budget=ANYTHING)


def test_the_same_images_and_seed_give_the_same_bytes(images):
    first, second = (
        convert(bright_net.model_file(), images, load_recipe("int8"), budget=OUT_OF_REACH)
        for _ in range(2)
    )

    assert first.quantized.flatbuffer == second.quantized.flatbuffer
    assert first.quantized.manifest == second.quantized.manifest
