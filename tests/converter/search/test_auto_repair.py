"""The search goes from what costs nothing to what costs most, and tries nothing twice."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import tiny_net

from converter.graph.reading import read
from converter.quantize.recipe import load_recipe
from converter.search.auto_repair import (
    CALIBRATORS,
    MAX_KEPT_RATIO,
    REPAIRS,
    free_repairs,
    kept_layers,
    search_fewest,
)
from converter.search.sensitivity import LayerError

SHARES = {"boxes": 0.4, "deep": 0.3, "logits": 0.2, "stem": 0.1}


@pytest.fixture(scope="module")
def graph():
    return read(tiny_net.build("RELU"), Path("net"))


def errors(**shares):
    return [LayerError(name, "CONV_2D", 20.0, share) for name, share in (SHARES | shares).items()]


def test_every_free_repair_is_tried_once_and_the_recipe_itself_is_not():
    recipe = load_recipe("int8")

    tried = [(other.repairs, other.calibrator) for _, other in free_repairs(recipe)]

    assert len(tried) == len(set(tried))
    assert (recipe.repairs, recipe.calibrator) not in tried
    assert {calibrator for _, calibrator in tried} == set(CALIBRATORS)
    assert {repairs for repairs, _ in tried} >= set(REPAIRS) - {recipe.repairs}


def test_other_calibrators_come_before_other_repairs():
    recipe = load_recipe("int8")

    tried = [other for _, other in free_repairs(recipe)]

    own = [other.repairs == recipe.repairs for other in tried]
    assert own == sorted(own, reverse=True)
    assert all(other.is_mixed == recipe.is_mixed for other in tried)


@pytest.mark.parametrize("name", ["float16", "dynamic", "int16x8"])
def test_there_is_nothing_to_repair_without_int8_activations(name, graph):
    recipe = load_recipe(name)

    assert list(free_repairs(recipe)) == []
    assert kept_layers(recipe, graph, errors()) == []


def test_the_worst_layer_is_kept_first_together_with_what_reads_it(graph):
    what, recipe = kept_layers(load_recipe("int8"), graph, errors(deep=0.9))[0]

    kept = {name.strip("^$") for name in recipe.keep_float.names}
    assert kept == {"deep", "near", "wide"}
    assert "3 layers float" in what


def test_no_more_than_half_of_the_model_is_ever_kept(graph):
    for _, recipe in kept_layers(load_recipe("int8"), graph, errors()):
        assert len(recipe.keep_float.names) <= MAX_KEPT_RATIO * len(graph.ops)


def test_each_recipe_keeps_more_than_the_one_before(graph):
    kept = [
        set(recipe.keep_float.names)
        for _, recipe in kept_layers(load_recipe("int8"), graph, errors())
    ]

    assert kept
    assert all(before < after for before, after in pairwise(kept))


@given(data=st.data(), count=st.integers(0, 16))
def test_the_fewest_that_pass_are_found_and_none_is_tried_twice(data, count):
    needed = data.draw(st.integers(1, count + 1))
    tried = []

    found = search_fewest(count, lambda number: tried.append(number) or number >= needed)

    assert found == (needed if needed <= count else None)
    assert len(tried) == len(set(tried)) <= 8
    assert all(1 <= number <= count for number in tried)
