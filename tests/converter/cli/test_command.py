"""The `edge-convert` command: what it makes, what it refuses, and its exit status."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from converter.cli.command import main
from converter.graph.reading import read
from edge.model import model_file
from edge.model.default import default_model_path
from edge.model.loaded import load_model
from edge.preprocess import pixel_table
from edge.terminal.command import DONE, FAILED, MISUSED

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.converter


def one_error(capsys):
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("edge-convert: ")
    return line


def test_inspect_lists_ops_and_types_of_the_shipped_model(capsys):
    assert main(["inspect", str(default_model_path())]) == DONE
    text = capsys.readouterr().out
    assert "CONV_2D               55" in text
    assert "ops that touch floats: 0 of " in text

    assert main(["inspect", str(default_model_path()), "--json"]) == DONE
    fields = json.loads(capsys.readouterr().out)
    assert fields["float_ops"] == 0
    assert "QUANTIZE" not in fields["op_counts"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["inspect", "gone.tflite"], FAILED, "gone.tflite"),
        (["run", "gone.json", "--images", "gone", "-o", "o.tflite"], FAILED, "gone.json: no such"),
        (
            ["run", "m.json", "--images", ".", "--recipe", "int4", "-o", "o"],
            MISUSED,
            "int8_tflite_converter",
        ),
        (["quantize", "gone.tflite", "--images", ".", "-o", "o.tflite"], FAILED, "gone.tflite"),
        (["run", "m.json", "--images", ".", "-o", "gone/o.tflite"], MISUSED, "folder is not there"),
        (["verify", "a.tflite", "b.tflite", "--images", "."], FAILED, "a.tflite"),
    ],
    ids=["inspect", "run without a model", "unknown recipe", "quantize", "no folder", "verify"],
)
def test_a_users_mistake_is_one_line_and_a_status(arguments, status, words, capsys):
    assert main(arguments) == status
    assert words in one_error(capsys)


def test_a_quantised_model_is_not_quantised_again(capsys, root, tmp_path):
    images = root / "edge" / "capture" / "scenes"
    output = tmp_path / "again.tflite"

    status = main(["quantize", str(default_model_path()), "--images", str(images), "--count", "1",
                   "-o", str(output)])  # fmt: skip

    assert status == FAILED
    assert "quantised already (int8)" in capsys.readouterr().err
    assert not output.exists()


def test_the_shipped_model_is_int8_throughout_and_small_enough():
    path = default_model_path()
    file = model_file.read(path)
    spec = load_model(file).spec

    assert path.stat().st_size <= 6 * 10**6
    assert not read(file.flatbuffer, path).float_ops()
    assert spec.input.dtype == np.int8
    assert {role: spec.outputs[role].dtype for role in spec.outputs} == {
        "boxes": np.int8, "scores": np.int8,
    }  # fmt: skip
    assert spec.outputs["boxes"].quant != spec.outputs["scores"].quant


def test_the_shipped_models_input_is_the_exact_image_of_the_pixel_values():
    spec = load_model(model_file.read(default_model_path())).spec

    table = pixel_table(spec.description.input, quant=spec.input.quant, dtype=spec.input.dtype)

    np.testing.assert_array_equal(table, np.arange(-128, 128).reshape(256, 1).repeat(3, axis=1))


def test_the_shipped_models_manifest_says_what_was_measured_and_on_what():
    described = model_file.read(default_model_path()).manifest

    by_metric = {row.metric: row for row in described.accuracy}
    assert by_metric.keys() == {"mAP50-95", "mAP50"}
    assert by_metric["mAP50-95"].difference >= -0.005
    low, high = by_metric["mAP50-95"].difference_interval
    assert low <= by_metric["mAP50-95"].difference <= high
    assert described.calibration.digest.startswith("sha256:")
    assert described.provenance.license == "Apache-2.0"
    assert {"tensorflow", "litert-quantizer"} <= described.provenance.tools.keys()


@pytest.mark.assets
def test_run_makes_the_same_bytes_twice_and_rejects_what_is_beyond_the_budget(
    assets, tmp_path, capsys
):
    model = assets / "models" / "ssdlite_mobilenet_v2_coco_tfjs" / "model.json"
    images = assets / "data" / "coco_train178"
    choices = ["--images", str(images), "--count", "4", "--held-back", "4", "--seed", "5"]
    made: list[Path] = []
    for name, source in (("a", model), ("b", tmp_path / "float.tflite")):
        made.append(tmp_path / f"{name}.tflite")
        status = main(["run", str(source), *choices, "--name", "same", "--tolerance", "99",
                       "--float", str(tmp_path / "float.tflite"), "-o", str(made[-1]),
                       "--no-report"])  # fmt: skip
        assert status == DONE
    assert made[0].read_bytes() == made[1].read_bytes()

    status = main(["run", str(tmp_path / "float.tflite"), *choices, "--recipe", "int8",
                   "--annotations", str(images / "instances.json"), "--max-loss", "0", "--json",
                   "--no-report", "-o", str(tmp_path / "c.tflite")])  # fmt: skip
    fields = json.loads(capsys.readouterr().out.partition("\n{")[2].join(["{", ""]))
    assert (status == FAILED) == (fields["verdict"] == "refused")
    assert (tmp_path / "c.tflite.rejected").exists() == (status == FAILED)
