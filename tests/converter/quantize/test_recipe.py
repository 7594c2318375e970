"""Recipes are data: what is shipped, what each says, and how rules are added."""

from __future__ import annotations

import pytest

from calibration.calibrators import CALIBRATORS
from converter.quantize.recipe import (
    DEFAULT_RECIPE,
    Recipe,
    Selection,
    load_recipe,
    recipe_names,
    with_kept,
    with_kept_ops,
)
from edge.errors import ConfigError
from edge.record import Unsound, read

FIELDS = {
    "schema_version": 1, "name": "mine", "description": "d", "quantizer": "auto",
    "weights": "int8", "activations": "int8",
}  # fmt: skip


@pytest.mark.parametrize("name", recipe_names())
def test_a_shipped_recipe_bears_the_name_of_its_file_and_a_known_calibrator(name):
    recipe = load_recipe(name)

    assert recipe.name == name
    assert recipe.calibrator in CALIBRATORS
    assert not recipe.is_mixed


def test_the_shipped_recipes_are_the_five_and_the_default_is_one():
    expected = ["dynamic", "float16", "int16x8", "int8", "int8_tflite_converter"]
    assert recipe_names() == expected
    assert DEFAULT_RECIPE in expected


def test_an_unknown_recipe_is_refused_with_the_list_of_those_there_are():
    with pytest.raises(ConfigError, match="int8, int8_tflite_converter, found 'int4'"):
        load_recipe("int4")


@pytest.mark.parametrize(
    "name", [name for name in recipe_names() if load_recipe(name).activations == "int16"]
)
def test_a_recipe_that_is_too_slow_for_a_board_says_so(name):
    assert "analysis only" in load_recipe(name).purpose


def test_only_integer_activations_need_ranges():
    needing = [name for name in recipe_names() if load_recipe(name).needs_ranges]

    assert needing == ["int16x8", "int8", "int8_tflite_converter"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"repairs": ["prayer"]}, "repairs"),
        ({"quantizer": "magic"}, "quantizer"),
        ({"weights": "int4"}, "weights"),
        ({"score_floor": 1}, "score_floor"),
        ({"colour": "red"}, "colour"),
        ({"keep_float": {"names": ["("]}}, "no regular expression"),
        ({"keep_float": {"ops": [-1]}}, "keep_float.ops"),
    ],
    ids=["repair", "quantizer", "weights", "floor", "unknown key", "expression", "number"],
)
def test_a_wrong_recipe_is_refused_by_its_key(change, words):
    with pytest.raises(Unsound, match=words):
        read(Recipe, FIELDS | change)


def test_a_selection_covers_by_name_kind_or_number():
    selection = Selection(names=("head.*/conv", "^out$"), kinds=("ADD",), ops=(7,))

    def covers(number, kind, *names):
        return selection.covers(number=number, kind=kind, names=names)

    assert covers(0, "CONV_2D", "net/head_1/conv;bias")
    assert covers(0, "CONV_2D", "other", "out")
    assert covers(0, "ADD", "other")
    assert covers(7, "CONV_2D", "other")
    assert not covers(0, "CONV_2D", "outer")


def test_names_to_keep_are_taken_literally_and_add_up():
    recipe = with_kept(load_recipe("int8"), ["a+b"])
    recipe = with_kept(recipe, ["c"], precision="int16")
    recipe = with_kept_ops(recipe, Selection(kinds=("ADD",)))

    assert recipe.name == "int8_mixed"
    assert recipe.keep_float.covers(number=0, kind="CONV_2D", names=["a+b"])
    assert not recipe.keep_float.covers(number=0, kind="CONV_2D", names=["aab", "a+bc"])
    assert recipe.keep_float.kinds == ("ADD",)
    assert recipe.keep_int16.covers(number=0, kind="CONV_2D", names=["c"])
    assert not load_recipe("int8").is_mixed


@pytest.mark.parametrize("name", ["float16", "dynamic", "int16x8"])
def test_only_int8_activations_have_layers_to_keep_out(name):
    with pytest.raises(ConfigError, match="choose --recipe int8"):
        with_kept(load_recipe(name), ["a"])
