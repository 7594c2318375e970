"""The options that choose and change a recipe, and what a changed recipe makes."""

from __future__ import annotations

import argparse
import json

import pytest
from reference import bright_net

from converter.cli.command import main
from converter.cli.making import add_quantization, recipe_of
from converter.graph.reading import read
from converter.quantize.recipe import load_recipe
from edge.errors import ConfigError
from edge.model import model_file
from edge.terminal.command import DONE, MISUSED

pytestmark = pytest.mark.converter


def chosen(*words):
    parser = argparse.ArgumentParser()
    add_quantization(parser)
    return recipe_of(parser.parse_args(words))


def test_nothing_said_is_the_default_recipe_unchanged():
    assert chosen() == load_recipe("int8")


@pytest.mark.parametrize(
    ("words", "repairs"),
    [
        ("none", ()),
        ("equalisation", ("equalisation",)),
        ("adaptive_rounding,equalisation", ("equalisation", "adaptive_rounding")),
    ],
    ids=["none", "one", "two, in the order in which they are done"],
)
def test_repairs_are_those_that_are_named(words, repairs):
    assert chosen("--repairs", words).repairs == repairs


@pytest.mark.parametrize("name", ["minmax", "percentile", "mse", "entropy"])
def test_the_calibrator_is_the_one_that_is_named(name):
    assert chosen("--calibrator", name).calibrator == name


def test_ops_are_kept_by_each_expression():
    recipe = chosen("--keep-float", "^boxes", "--keep-float", "stem", "--keep-int16", "scores")

    assert recipe.name == "int8_mixed"
    assert recipe.keep_float.names == ("^boxes", "stem")
    assert recipe.keep_int16.names == ("scores",)


@pytest.mark.parametrize(
    "words",
    [("--repairs", "prayer"), ("--repairs", ""), ("--calibrator", "luck"), ("--keep-float", "(")],
    ids=["repair", "no repair", "calibrator", "expression"],
)
def test_a_word_that_is_none_is_a_misuse(words, capsys):
    with pytest.raises(SystemExit) as caught:
        chosen(*words)

    assert caught.value.code == MISUSED
    assert words[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [("--calibrator", "mse"), ("--repairs", "none"), ("--keep-float", "stem")],
    ids=["calibrator", "repairs", "kept"],
)
def test_a_recipe_that_looks_at_no_images_has_nothing_to_change(words):
    with pytest.raises(ConfigError, match="--recipe int8"):
        chosen("--recipe", "float16", *words)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    bright_net.write_images(folder, 8)
    return ["--images", str(folder), "--count", "4", "--seed", "1"]


def test_quantize_keeps_what_it_is_told_to_and_says_so(float_model, images, tmp_path, capsys):
    output = tmp_path / "mixed.tflite"

    status = main(["quantize", str(float_model), *images, "--keep-float", "^raw_boxes$",
                   "--repairs", "none", "-o", str(output)])  # fmt: skip

    said = capsys.readouterr().err
    file = model_file.read(output)
    assert status == DONE
    assert f"edge-convert: {output}: float32 inside: CONV_2D x1" in said
    assert [op.kind for op in read(file.flatbuffer, output).float_ops()].count("CONV_2D") == 1
    assert file.manifest.provenance.recipe == "int8_mixed"
    assert "repairs" not in file.manifest.provenance.changes


def test_run_says_what_a_recipe_is_for_and_reports_it(float_model, images, tmp_path, capsys):
    status = main(["run", str(float_model), *images, "--held-back", "4", "--recipe", "int16x8",
                   "--tolerance", "99", "-o", str(tmp_path / "slow.tflite")])  # fmt: skip

    said = capsys.readouterr().err
    report = json.loads((tmp_path / "slow.report" / "report.json").read_text("utf-8"))
    assert status == DONE
    assert "analysis only" in said
    assert any("analysis only" in sentence for sentence in report["warnings"])
    assert report["islands"] == {}
    assert "repairs: bias correction" in report["provenance"]["changes"]


def test_an_expression_that_fits_no_op_is_refused(float_model, images, tmp_path, capsys):
    status = main(["quantize", str(float_model), *images, "--keep-int16", "nothing",
                   "-o", str(tmp_path / "o.tflite")])  # fmt: skip

    assert status == MISUSED
    assert "expected an op to keep for 'nothing'" in capsys.readouterr().err
