"""Delegates, with a library compiled for the test: loaded, refused, missing and lost."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys

import cv2
import factories
import numpy as np
import pytest
from reference import tiny_segmenter

from edge import cli
from edge.benchmark import result as result_file
from edge.config import reading
from edge.errors import ConfigError, DelegateError, ModelError
from edge.model import delegates, model_file
from edge.model.backends.litert import LiteRt, compiled_for, load_delegate
from edge.model.default import default_model_path
from edge.model.delegates import EDGE_TPU_OP, Delegate
from edge.model.loaded import load_model
from edge.verbs import check, inspection

pytestmark = pytest.mark.board

LIBRARY = "libedgetpu.so.1"
# A process whose dynamic linker finds the stand-in under the name of the real one.
TELL_HEADS = """
import json, sys
from pathlib import Path
import numpy as np
from edge.model import model_file
from edge.model.loaded import load_model
loaded = load_model(model_file.read(Path(sys.argv[1])), delegate="edgetpu:usb:1")
heads = loaded.output_buffers()
buffer = loaded.input_buffers()[0]
buffer.tensor.flat = np.arange(buffer.tensor.size).astype(np.int8)
loaded.invoke(buffer, out=heads)
print(json.dumps(heads["classes"].ravel().tolist()))
"""


@pytest.fixture
def absent():
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return
    pytest.skip(f"{LIBRARY} is installed here, so it cannot be missing")


@pytest.fixture
def red(tmp_path):
    """Return the URI of one red image that fills the tiny model's input."""
    pixels = np.zeros((24, 32, 3), np.uint8)
    pixels[..., 2] = 255
    cv2.imwrite(str(tmp_path / "red.png"), pixels)
    return f"file:{tmp_path / 'red.png'}"


def python(library, *words, **environment):
    """Run Python where the dynamic linker finds the library."""
    return subprocess.run(
        [sys.executable, *map(str, words)],
        env=os.environ | {"LD_LIBRARY_PATH": str(library.parent)} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("text", "library", "options"),
    [
        pytest.param("cpu", "", {}, id="cpu"),
        pytest.param("edgetpu", LIBRARY, {}, id="any Edge TPU"),
        pytest.param("edgetpu:usb:1", LIBRARY, {"device": "usb:1"}, id="one on USB"),
        pytest.param("edgetpu:pci", LIBRARY, {"device": "pci"}, id="any on PCIe"),
        pytest.param("edgetpu::0", LIBRARY, {"device": ":0"}, id="the first"),
    ],
)
def test_a_name_gives_a_library_and_its_options(text, library, options):
    assert delegates.parse(text) == Delegate(text, library, options)


@pytest.mark.parametrize("text", ["", "gpu", "cpu:0", "edgetpu:", "edgetpu:lan", "edgetpu:usb:"])
def test_an_unknown_delegate_is_refused_with_those_there_are(text):
    with pytest.raises(ConfigError, match='expected a delegate: "cpu", "edgetpu"'):
        delegates.parse(text)


@pytest.mark.usefixtures("absent")
def test_a_missing_library_is_one_sentence_and_no_noise(capfd):
    with pytest.raises(DelegateError, match=r"libedgetpu\.so\.1: .*type: sudo apt install") as said:
        load_delegate(delegates.parse("edgetpu"))

    assert "\n" not in str(said.value)
    assert capfd.readouterr() == ("", "")


def test_the_library_of_something_else_is_refused():
    other = Delegate("edgetpu", "libc.so.6")

    with pytest.raises(DelegateError, match=r"libc\.so\.6 has no tflite_plugin_create_delegate"):
        load_delegate(other)


def test_options_reach_the_library_and_its_refusal_is_told(library, capfd):
    assert load_delegate(Delegate("edgetpu:usb:1", str(library), {"device": "usb:1"}))

    with pytest.raises(DelegateError, match=r"no device that it can use \(no device usb:9\); plug"):
        load_delegate(Delegate("edgetpu:usb:9", str(library), {"device": "usb:9"}))
    assert capfd.readouterr().err == ""


def test_a_compiled_model_is_told_from_others(models):
    plain, compiled = models

    assert compiled_for(plain) == "cpu"
    assert compiled_for(compiled) == "edgetpu"
    assert compiled_for(model_file.read(default_model_path())) == "cpu"


def test_the_library_runs_the_compiled_op(library, models):
    done = python(library, "-c", TELL_HEADS, models[1].path)

    assert done.returncode == 0, done.stderr
    cells = json.loads(done.stdout)
    assert cells == np.arange(len(cells)).astype(np.int8).tolist()


def test_a_compiled_model_on_the_cpu_says_which_delegate_to_set(models):
    with pytest.raises(DelegateError, match=r'compiled for an Edge TPU: .* delegate = "edgetpu"'):
        load_model(models[1])


def test_a_model_that_was_not_compiled_is_not_left_to_the_cpu():
    file = model_file.read(default_model_path())

    with pytest.raises(DelegateError, match="not compiled for an Edge TPU"):
        load_model(file, delegate="edgetpu")


def test_a_delegate_of_the_command_line_runs_the_model(library, models, red):
    words = ("-m", "edge", "run", "--model", models[1].path, "--source", red)

    done = python(library, *words, "--delegate", "edgetpu")

    assert done.returncode == 0, done.stderr
    assert "mean area: " in done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_a_device_that_is_lost_ends_the_run_with_a_sentence(library, models, red):
    words = ("-m", "edge", "run", "--model", models[1].path, "--source", red, "--loop")

    # One of four is the proof at start.
    done = python(library, *words, "--delegate", "edgetpu", STAND_IN_INVOKES="4")

    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 3
    assert "Traceback" not in done.stderr
    assert 'delegate "edgetpu" failed while it ran: the device does not answer' in done.stderr


def test_a_refused_device_of_the_configuration_ends_the_run(library, models, tmp_path):
    path = tmp_path / "device.toml"
    path.write_text(f'[model]\nfile = "{models[1].path}"\ndelegate = "edgetpu:usb:9"\n')

    done = python(library, "-m", "edge", "run", path, "--frames", 1)

    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("edge: ")]
    assert len(lines) == 1
    assert "(no device usb:9); plug the Edge TPU in" in lines[0]
    assert "Traceback" not in done.stderr


def test_check_finds_the_library_and_opens_no_device(library, models, tmp_path):
    path = tmp_path / "device.toml"
    path.write_text(f'[model]\nfile = "{models[1].path}"\ndelegate = "edgetpu:usb:9"\n')

    done = python(library, "-m", "edge", "check", path)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.usefixtures("absent")
def test_check_names_what_a_delegate_lacks(models, tmp_path):
    path = tmp_path / "device.toml"
    path.write_text(f'[model]\nfile = "{models[1].path}"\ndelegate = "edgetpu"\n')
    assert "sudo apt install" in " ".join(check.examine(reading.load(path, {}))[1])

    path.write_text(f'[model]\nfile = "{models[0].path}"\ndelegate = "edgetpu"\n')
    assert "not compiled for an Edge TPU" in " ".join(check.examine(reading.load(path, {}))[1])

    path.write_text('[model]\ndelegate = "gpu"\n')
    with pytest.raises(ConfigError, match=r"\[model\] delegate: expected a delegate"):
        reading.load(path, {})


def test_inspect_shows_a_compiled_model_without_its_delegate(models):
    shown = inspection.inspect(models[1])
    facts = shown.facts()

    assert facts["delegate"] == "edgetpu"
    assert facts["labels"] == ["red", "green", "blue"]
    assert [tensor["shape"] for tensor in facts["tensors"]] == [[1, 24, 32, 3], [1, 12, 16, 3]]
    assert 'compiled for an Edge TPU: set [model] delegate = "edgetpu"' in (shown.text())
    assert inspection.inspect(models[0]).delegate == "cpu"


def test_bench_measures_what_it_can_and_names_the_rest(library, models, tmp_path):
    plain, compiled = models
    path = tmp_path / "a.json"
    words = ("--duration", "250ms", "--delegate", "cpu,edgetpu", "--starts", 1, "--threads", 1)

    done = python(library, "-m", "edge", "bench", plain.path, compiled.path, *words, "--json", path)

    assert done.returncode == 0, done.stderr
    found = result_file.read(path)
    measured = [(row.setting.file, row.setting.delegate) for row in found.rows]
    assert measured == [("my.tflite", "cpu"), ("my.edgetpu.tflite", "edgetpu")]
    assert "no cold start: the device is held by this process" in found.rows[1].notes
    missing = {(lost.setting.file, lost.setting.delegate): lost.reason for lost in found.missing}
    assert "not compiled" in missing["my.tflite", "edgetpu"]
    assert "compiled for an Edge TPU" in missing["my.edgetpu.tflite", "cpu"]
    assert "strongest, 1 thread, edgetpu  not loaded" in done.stdout


@pytest.mark.usefixtures("absent")
def test_bench_fails_when_no_delegate_can_be_loaded(models, capsys):
    words = ["bench", str(models[1].path), "--duration", "250ms", "--delegate", "cpu,edgetpu"]

    assert cli.main(words) == 1

    said = capsys.readouterr().err
    assert "compiled for an Edge TPU" in said
    assert "sudo apt install libedgetpu1-std" in said


def test_layers_are_timed_on_the_cpu_only(capsys):
    assert cli.main(["bench", "--layers", "--delegate", "edgetpu"]) == 2
    assert "leave --delegate out" in capsys.readouterr().err


def test_a_compiled_model_of_another_tool_is_asked_about_like_any_bare_file(tmp_path):
    path = tmp_path / "other_edgetpu.tflite"
    path.write_bytes(tiny_segmenter.flatbuffer(custom_op=EDGE_TPU_OP))

    with pytest.raises(ModelError, match=r"nothing in the file says .*--draft other_edgetpu\.toml"):
        model_file.read(path)


@pytest.mark.assets
@pytest.mark.parametrize(
    "name",
    [
        "deeplabv3_mnv2_dm05_pascal_quant_edgetpu.tflite",
        "ssd_mobilenet_v1_coco_quant_postprocess_segment_0_of_2_edgetpu.tflite",
    ],
)
def test_what_the_real_compiler_made_is_known_as_that(name, assets, models):
    flatbuffer = (assets / "models" / "refused" / name).read_bytes()
    file = factories.model_file(flatbuffer=flatbuffer, manifest=models[0].manifest, anchors=None)

    assert compiled_for(file) == "edgetpu"
    with pytest.raises(DelegateError, match="compiled for an Edge TPU"):
        LiteRt(file).allocate()
