"""One model's whole way: what passes at once is left alone, what fails is repaired or refused."""

from __future__ import annotations

import pytest
from reference import bright_net

from calibration.dataset import image_set
from converter.conversion import Images, Trials, convert, describe_attempts
from converter.gate import Budget
from converter.observations import Observations
from converter.recipe import load_recipe, with_kept
from edge.errors import ModelError

OUT_OF_REACH = Budget(agreement=1.01)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    paths = bright_net.write_images(folder, 6)
    calibration = image_set(folder, paths[:3], seed=0)
    return Images(calibration, tuple(paths[3:]), annotations=None, dataset="bright")


def test_what_passes_at_once_is_tried_once(images):
    done = convert(
        bright_net.model_file(), images, load_recipe("int8"), budget=Budget(agreement=0.0)
    )

    assert len(done.attempts) == 1
    assert not done.faults
    assert done.latencies == {}


def test_repair_can_be_switched_off(images):
    done = convert(
        bright_net.model_file(), images, load_recipe("int8"), budget=OUT_OF_REACH, repair=False
    )

    assert len(done.attempts) == 1
    assert done.faults


def test_where_nothing_passes_the_best_is_kept_with_all_that_was_tried(images):
    recipe = load_recipe("int8")
    done = convert(bright_net.model_file(), images, recipe, budget=OUT_OF_REACH)

    tried = [(a.recipe.repairs, a.recipe.calibrator, a.recipe.keep_float) for a in done.attempts]
    assert len(tried) == len(set(map(str, tried))) > 5
    assert done.attempts[0].recipe == recipe
    assert done.bill.agreement == max(attempt.bill.agreement for attempt in done.attempts)
    assert done.faults
    assert any(attempt.recipe.is_mixed for attempt in done.attempts)


def test_of_what_passes_the_fewest_layers_are_kept_float(images):
    trials = Trials(Observations(bright_net.model_file(), images.calibration), images, Budget(0.0))
    recipe = load_recipe("int8")
    for names in (["stem", "raw_boxes"], ["raw_boxes"], ["stem", "raw_scores"]):
        trials.run(" and ".join(names), with_kept(recipe, names))

    assert trials.attempts[trials.best].what == "raw_boxes"


def test_an_attempt_that_cannot_be_made_is_told_and_the_search_goes_on(images):
    file = bright_net.model_file(leaky=True)
    trials = Trials(Observations(file, images.calibration), images, Budget(agreement=0.0))
    whole = load_recipe("int8").model_copy(update={"quantizer": "litert"})
    kept = with_kept(whole, ["active"])

    assert trials.run("kept", kept)
    assert not trials.run("whole", whole)
    assert trials.run("kept again", kept)

    done = trials.conversion()
    assert [attempt.bill is None for attempt in done.attempts] == [False, True, False]
    assert done.chosen != 1
    told = describe_attempts(done)[1]
    assert "tried whole: " in told
    assert "LEAKY_RELU" in told
    assert told.endswith("refused")


def test_a_recipe_that_cannot_be_made_at_all_is_an_error(images):
    recipe = load_recipe("int8").model_copy(update={"quantizer": "litert"})

    with pytest.raises(ModelError, match="LEAKY_RELU"):
        convert(bright_net.model_file(leaky=True), images, recipe, budget=Budget(agreement=0.0))


def test_the_same_images_and_seed_give_the_same_bytes(images):
    first, second = (
        convert(bright_net.model_file(), images, load_recipe("int8"), budget=OUT_OF_REACH)
        for _ in range(2)
    )

    assert first.quantized.flatbuffer == second.quantized.flatbuffer
    assert first.quantized.manifest == second.quantized.manifest
