"""The options that describe a foreign model, and what is wrong with them."""

from __future__ import annotations

import argparse

import pytest

from converter.cli.command import main
from converter.cli.options import add_model, choice_of, join_signed, read_labels
from edge.errors import ConfigError, ModelError
from edge.terminal.command import MISUSED

pytestmark = pytest.mark.converter


def choice(*words):
    parser = argparse.ArgumentParser()
    add_model(parser)
    return choice_of(parser.parse_args(join_signed(words)))


@pytest.mark.parametrize(
    ("words", "mean", "std"),
    [
        (["--range", "0..1"], (0, 0, 0), (255, 255, 255)),
        (["--range", "-1..1"], (127.5,) * 3, (127.5,) * 3),
        (["--range", "0..255"], (0, 0, 0), (1, 1, 1)),
        (["--mean", "-1.5", "--std", "2"], (-1.5,) * 3, (2,) * 3),
        (["--mean", "123,117,104", "--std", "58,57,56"], (123, 117, 104), (58, 57, 56)),
    ],
    ids=["0..1", "-1..1", "0..255", "negative", "by channel"],
)
def test_the_normalisation_is_said_in_two_ways(words, mean, std):
    found = choice(*words).input

    assert (found.mean, found.std) == (mean, std)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--mean", "1"], "--mean needs --std"),
        (["--std", "1"], "--std needs --mean"),
        (["--range", "0..1", "--mean", "1", "--std", "1"], "--range says mean and std already"),
    ],
)
def test_half_a_normalisation_and_two_are_refused(words, fault):
    with pytest.raises(ConfigError, match=fault):
        choice(*words)


@pytest.mark.parametrize(
    "words",
    [["--mean", "1,2"], ["--std", "0"], ["--mean", "nan"], ["--size", "0x3"], ["--size", "3"],
     ["--box-scales", "1,2,3"], ["--input", "gray"], ["--resize", "crop"]],
    ids=" ".join,
)  # fmt: skip
def test_a_value_that_is_none_is_a_misuse(words, capsys):
    with pytest.raises(SystemExit) as caught:
        choice(*words)

    assert caught.value.code == MISUSED
    assert "expected" in capsys.readouterr().err or words[0] in ("--input", "--resize")


def test_nothing_said_is_nothing_known():
    found = choice()

    assert (found.input.color, found.input.mean, found.input.size_wh) == (None, None, None)


def test_labels_keep_empty_lines_and_must_be_text(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("cat\n\ndog\n")
    assert read_labels(path) == ("cat", "", "dog")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ModelError, match="one label a line"):
        read_labels(path)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("0 bus\n1 car\n", ("bus", "car")),
        ("0: bus\n2: traffic light\n", ("bus", "", "traffic light")),
        ("1,person\n2,bicycle\n", ("", "person", "bicycle")),
        ("\ufeff0\tbus\n", ("bus",)),
        ("2 doors\n4 doors\n", ("2 doors", "4 doors")),
        ("0 bus\ncar\n", ("0 bus", "car")),
        ("1 way\n0 way\n", ("1 way", "0 way")),
    ],
    ids=["ids", "an id left out", "from 1", "a mark of byte order", "no ids", "not all", "falling"],
)
def test_labels_that_begin_with_their_ids_are_read_by_id(tmp_path, text, labels):
    path = tmp_path / "labels.txt"
    path.write_text(text, "utf-8")

    assert read_labels(path) == labels


def test_the_names_of_a_yolo_data_set_are_labels(tmp_path):
    path = tmp_path / "data.yaml"
    path.write_text("nc: 2\nnames: [bus, car]\n")

    assert read_labels(path) == ("bus", "car")


@pytest.mark.assets
def test_a_foreign_segmenter_asks_for_its_preprocessing_with_exit_status_2(
    assets, tmp_path, capsys
):
    model = assets / "models" / "portrait_unet" / "mnv3_seg_float.tflite"
    images = assets / "images" / "coral"

    status = main(["run", str(model), "--family", "unet", "--images", str(images), "--count", "1",
                   "--held-back", "1", "-o", str(tmp_path / "out.tflite")])  # fmt: skip

    (line,) = capsys.readouterr().err.splitlines()
    assert status == MISUSED
    assert all(option in line for option in ("--input", "--range", "--resize"))


@pytest.mark.assets
def test_inspect_says_what_a_foreign_model_is_and_what_is_missing(assets, capsys):
    model = assets / "models" / "portrait_unet" / "mnv3_seg_float.tflite"

    assert main(["inspect", str(model), "--family", "unet", "--input", "rgb"]) == 0

    text = capsys.readouterr().out
    assert "float .tflite, read as unet" in text
    assert "missing     its normalisation: --range" in text
    assert "--input rgb or" not in text
