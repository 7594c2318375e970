"""The command writes the report beside the model, unless told not to."""

from __future__ import annotations

import json

import pytest
from reference import bright_net

from converter import export
from converter.cli.command import main
from edge.terminal.command import DONE, FAILED

pytestmark = pytest.mark.converter


@pytest.fixture
def judged(bright_images):
    return ["--images", str(bright_images[0].parent), "--held-back", "5", "--seed", "1"]


def test_run_writes_a_report_beside_the_model_and_says_where(float_model, judged, tmp_path, capsys):
    output = tmp_path / "out.tflite"
    asked = ["run", str(float_model), *judged, "--count", "5", "-o", str(output)]

    assert main([*asked, "--json"]) == DONE
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == f"edge-convert: report: {tmp_path}/out.report/report.html"
    fields = json.loads((tmp_path / "out.report" / "report.json").read_text("utf-8"))
    assert fields["bill"] == json.loads(said.out)
    assert fields["verdict"] == "passes, not proven", "5 images prove nothing"
    assert fields["attempts"][0]["recipe"]["name"] == "int8"
    assert fields["layers"][0]["name"] == "stem"
    assert sum(layer["share"] for layer in fields["layers"]) == pytest.approx(1)

    output.unlink()
    assert main([*asked[:-1], str(tmp_path / "bare.tflite"), "--no-report"]) == DONE
    assert not (tmp_path / "bare.report").exists()


def test_verify_reports_when_asked_and_says_what_is_lost(float_model, judged, tmp_path, capsys):
    model = tmp_path / "blind.tflite"
    export.write(bright_net.model_file(offset=-40.0), model)

    assert main(["verify", str(float_model), str(model), *judged, "--report"]) == FAILED
    assert "refused: its distance from the float model is 1.000" in capsys.readouterr().err
    fields = json.loads((tmp_path / "blind.report" / "report.json").read_text("utf-8"))
    assert fields["verdict"] == "refused"
    assert fields["bill"]["matched"] == 0 < fields["bill"]["expected"]
    assert fields["attempts"] == []
    assert fields["calibration"] is None
    assert fields["pictures"][0]["caption"].startswith("worst: 0 of ")


def test_a_place_that_is_taken_is_refused_before_the_work(float_model, judged, tmp_path, capsys):
    (tmp_path / "out.report").write_text("something else")

    status = main(["run", str(float_model), *judged, "-o", str(tmp_path / "out.tflite")])

    assert status == FAILED
    assert "move it away, or type --no-report" in capsys.readouterr().err
    assert not (tmp_path / "out.tflite").exists()


def test_a_rejected_run_leaves_an_earlier_model_and_its_report_alone(
    float_model, judged, tmp_path, capsys
):
    output = tmp_path / "out.tflite"
    asked = ["run", str(float_model), *judged, "--count", "5", "--no-repair", "-o", str(output)]
    assert main(asked) == DONE
    before = output.read_bytes(), (tmp_path / "out.report" / "report.json").read_bytes()

    dark = bright_net.model_file(offset=-40.0)
    export.write(dark, tmp_path / "dark.tflite")
    assert main(["run", str(tmp_path / "dark.tflite"), *asked[2:]]) == FAILED
    said = capsys.readouterr().err
    assert f"{output}: left as an earlier run made it" in said
    assert (tmp_path / "out.tflite.rejected").is_file()
    fields = json.loads((tmp_path / "out.rejected.report" / "report.json").read_text("utf-8"))
    assert fields["verdict"] == "refused"
    assert "sees nothing" in fields["reasons"][0]
    assert before == (output.read_bytes(), (tmp_path / "out.report" / "report.json").read_bytes())


def test_what_an_earlier_run_left_of_another_model_is_named_and_kept(
    float_model, judged, tmp_path, capsys
):
    output = tmp_path / "out.tflite"
    (tmp_path / "out.gpu.tflite").write_bytes(b"compiled")
    (tmp_path / "out.tflite.rejected").write_bytes(b"refused")
    asked = ["run", str(float_model), *judged, "--no-repair", "-o", str(output)]
    assert main([*asked, "--count", "4"]) == DONE
    report = (tmp_path / "out.report" / "report.json").read_bytes()
    capsys.readouterr()

    assert main([*asked, "--count", "5", "--recipe", "int16x8", "--no-report"]) == DONE

    said = capsys.readouterr().err
    for name in ("out.gpu.tflite", "out.tflite.rejected", "out.report"):
        assert f"{tmp_path / name}: left as an earlier run made it, of another model" in said
    assert f"{output}: left" not in said
    assert (tmp_path / "out.gpu.tflite").read_bytes() == b"compiled"
    assert (tmp_path / "out.report" / "report.json").read_bytes() == report
