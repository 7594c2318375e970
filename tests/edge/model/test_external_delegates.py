"""A delegate of any maker, by the path of its library: every fault is one sentence."""

from __future__ import annotations

import logging
import platform
from pathlib import Path

import numpy as np
import pytest

from edge import app, cli
from edge.config.reading import parse
from edge.cores import Cores, available_cores
from edge.errors import ConfigError, DelegateError
from edge.model import delegates
from edge.model.backends.litert import load_delegate
from edge.model.delegates import Delegate
from edge.model.loaded import load_model

pytestmark = pytest.mark.board


@pytest.mark.parametrize(
    ("text", "options"),
    [
        pytest.param("external:/opt/libnpu.so", {}, id="no option"),
        pytest.param("external:/opt/libnpu.so?cores=2", {"cores": "2"}, id="one"),
        pytest.param("external:/opt/libnpu.so?a=&b=x=y", {"a": "", "b": "x=y"}, id="two"),
        pytest.param("external:/opt/libnpu.so?a=x%26y%2C", {"a": "x&y,"}, id="signs of the list"),
    ],
)
def test_a_path_and_its_options_are_read(text, options):
    assert delegates.parse(text) == Delegate(text, "/opt/libnpu.so", options)


@pytest.mark.parametrize(
    "place",
    [
        "",
        ":",
        ":libnpu.so",
        ":./libnpu.so",
        ":/npu.so?a",
        ":/npu.so?=1",
        ":/npu.so?a=1&a=2",
    ],
)
def test_what_is_no_path_with_options_is_refused(place):
    with pytest.raises(
        ConfigError, match=r"external:/PATH/LIBRARY\.so\?KEY=VALUE&KEY=VALUE\", each"
    ):
        delegates.parse(f"external{place}")


def test_the_library_runs_what_it_takes(library, models):
    model = load_model(models[1], delegate=f"external:{library}?device=usb:1")
    heads, buffer = model.output_buffers(), model.input_buffers()[0]
    buffer.tensor.flat = np.arange(buffer.tensor.size).astype(np.int8)

    model.invoke(buffer, out=heads)

    cells = heads["classes"].ravel()
    assert (cells == np.arange(cells.size).astype(np.int8)).all()
    assert str(model.ran).endswith(f" on external ({library}?device=usb:1, 1 of 1 ops)")


def refusal(text, file):
    with pytest.raises(DelegateError) as said:
        load_model(file, delegate=text)
    assert "\n" not in str(said.value)
    return str(said.value)


def test_a_library_that_takes_nothing_does_not_leave_the_model_to_the_cpu(library, models):
    said = refusal(f"external:{library}", models[0])

    assert "takes none of the 1 ops of this model, and would leave all to the CPU; take a" in said


def test_what_the_cpu_has_to_run_is_counted(library, models, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    ops = [
        {"index": 0, "op_name": "CONV_2D", "inputs": [0, 9], "outputs": [1]},
        {"index": 1, "op_name": "RELU", "inputs": [1], "outputs": [2]},
        {"index": 2, "op_name": "SOFTMAX", "inputs": [2], "outputs": [3]},
        {"index": 3, "op_name": "DELEGATE", "inputs": [0], "outputs": [2]},
    ]
    runtime = type("Runtime", (), {"_get_ops_details": lambda _: ops})
    module = type("Module", (), {"Interpreter": lambda **_: runtime()})
    monkeypatch.setattr("edge.model.backends.litert.load_delegate", lambda _: None)
    monkeypatch.setattr("edge.model.backends.litert.runtime_module", lambda: module)
    from edge.model.backends.litert import _delegated  # noqa: PLC0415

    _delegated(models[0], delegates.parse("external:/x.so"), threads=1)

    assert caplog.messages == ["delegate external:/x.so runs 2 of 3 ops, the CPU the others"]


def test_a_library_that_cannot_prepare_the_model_is_told(library, models):
    said = refusal(f"external:{library}?prepare=fails", models[1])

    assert "cannot prepare this model: the device has no memory left" in said
    assert "Restored" not in refusal(f"external:{library}?prepare=fails", models[0])


def test_a_refused_option_is_told_in_the_librarys_own_words(library, models):
    said = refusal(f"external:{library}?speed=warp", models[1])

    assert f"{library} found no device that it can use (no device warp); check the options" in said


def test_a_missing_library_is_told_with_its_path(models, capfd):
    said = refusal("external:/missing/libnpu.so?a=1", models[0])

    assert "/missing/libnpu.so: cannot open shared object file" in said
    assert "check the path" in said
    assert capfd.readouterr().err == ""


def test_a_library_for_another_processor_is_not_called_missing(library, models, tmp_path):
    other, name = (62, "x86_64") if platform.machine() == "aarch64" else (183, "aarch64")
    data = bytearray(library.read_bytes())
    data[18:20] = other.to_bytes(2, "little")
    path = tmp_path / "libnpu.so"
    path.write_bytes(data)

    said = refusal(f"external:{path}", models[0])

    assert f"{path} is for a processor {name}, this Python for {platform.machine()}" in said


@pytest.mark.parametrize("content", [b"", b"not a library"], ids=["empty", "text"])
def test_a_file_that_is_no_library_is_one_sentence(content, models, tmp_path):
    path = tmp_path / "libnpu.so"
    path.write_bytes(content)

    assert str(path) in refusal(f"external:{path}", models[0])


def test_a_library_of_something_else_is_told(models):
    with pytest.raises(DelegateError, match=r"libc\.so\.6 has no tflite_plugin_create_delegate"):
        load_delegate(Delegate("external:/libc.so.6", "libc.so.6"))


def test_an_onnx_file_is_refused():
    with pytest.raises(DelegateError, match=r"runs \.tflite files, found a \.onnx"):
        delegates.check_format(delegates.parse("external:/x.so"), "onnx", Path("my.onnx"))


def test_check_tells_the_same_fault(tmp_path, capsys):
    path = tmp_path / "device.toml"
    path.write_text('[model]\ndelegate = "external:/missing.so"\n')

    assert cli.main(["check", str(path)]) == 2
    assert "needs a library that cannot be loaded: /missing.so" in capsys.readouterr().err


def test_each_worker_has_an_instance_of_the_library(library, models):
    config = parse({"model": {"workers": 2, "delegate": f"external:{library}"}})
    cores = Cores.divide(available_cores(), threads=2)

    workers = app.open_workers(config, models[1], cores, threads=1)

    assert len({id(worker.model) for worker in workers}) == 2
