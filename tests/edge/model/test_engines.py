"""Engines are built by a verb, kept in private under what they are for, never built in a run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import onnx_bytes
import pytest
import stand_in_provider

from edge import app, cli
from edge.config import reading
from edge.errors import DelegateError
from edge.model import engines, model_file
from edge.model.loaded import load_model

pytestmark = pytest.mark.board

SIDE = 8
CUDA = """
#include <string.h>
int cuInit(unsigned flags) { return FAILS; }
int cuDeviceGet(int *device, int number) { *device = number; return number > 1 ? 101 : 0; }
int cuDeviceGetName(char *name, int size, int device) { strncpy(name, "Orin", size); return 0; }
int cuDriverGetVersion(int *version) { *version = 12060; return 0; }
int getInferLibVersion(void) { return 101603; }
"""


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "my.onnx"
    path.write_bytes(onnx_bytes.described(onnx_bytes.segmenter(SIDE), SIDE))
    return path


@pytest.fixture
def state(tmp_path, monkeypatch):
    folder = tmp_path / "state"
    monkeypatch.setenv("STATE_DIRECTORY", str(folder))
    return folder


@pytest.fixture
def provider(monkeypatch):
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is an extra")
    return stand_in_provider.install(runtime, monkeypatch)


def opened(model, delegate="tensorrt"):
    config = reading.parse({"model": {"file": model, "delegate": delegate}})
    return app.open_model(config, app.model_file(config), threads=1)


def prepare(model, delegate="tensorrt"):
    return cli.main(["prepare", "--model", str(model), "--delegate", delegate])


def test_a_run_without_an_engine_says_the_command_and_builds_nothing(model, state, provider):
    with pytest.raises(DelegateError, match=r"type: edge prepare --model .*my.onnx --delegate ten"):
        opened(model)
    assert provider["built"] == 0


def test_check_names_a_missing_engine_and_asks_no_gpu(model, state, provider, capsys, monkeypatch):
    path = model.with_suffix(".toml")
    path.write_text('[model]\nfile = "my.onnx"\ndelegate = "tensorrt"\n')

    assert cli.main(["check", str(path)]) == 2
    assert "type: edge prepare --model" in capsys.readouterr().err
    assert prepare(model) == 0
    monkeypatch.setattr(engines, "gpu_name", lambda _: pytest.fail("the GPU was asked"))
    assert cli.main(["check", str(path)]) == 0
    assert "run by onnxruntime" in capsys.readouterr().out


def test_the_verb_builds_what_the_run_then_takes(model, state, provider, capsys):
    assert prepare(model) == 0
    assert stand_in_provider.GPU in capsys.readouterr().out
    (folder,) = (state / "engines").iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert provider["built"] == 1

    assert opened(model).ran.provider == "TensorrtExecutionProvider"
    assert provider["built"] == 1
    assert provider["settings"]["trt_engine_cache_path"] == str(folder)
    assert provider["settings"]["trt_int8_enable"] == "0"


@pytest.mark.parametrize("what", ["gpu", "library", "model"])
def test_an_engine_is_for_one_gpu_one_library_and_one_model(
    what, model, state, provider, monkeypatch
):
    assert prepare(model) == 0
    if what == "gpu":
        monkeypatch.setattr(engines, "gpu_name", lambda _: "Thor, driver 13020")
    elif what == "library":
        monkeypatch.setattr(engines, "tensorrt_version", lambda: "110400")
    else:
        model.write_bytes(onnx_bytes.described(onnx_bytes.segmenter(SIDE, classes=4), SIDE,
                                               labels=tuple("abcd")))  # fmt: skip
    with pytest.raises(DelegateError, match="no engine is prepared"):
        opened(model)


@pytest.mark.parametrize("what", ["folder", "file", "link"])
def test_an_engine_that_others_may_have_written_is_refused(what, model, state, provider, tmp_path):
    assert prepare(model) == 0
    (folder,) = (state / "engines").iterdir()
    engine = folder / stand_in_provider.ENGINE
    if what == "link":
        other = tmp_path / "other"
        engine.rename(other)
        engine.symlink_to(other)
    else:
        {"folder": folder.parent, "file": engine}[what].chmod(0o777)
    with pytest.raises(DelegateError, match="expected an engine that only this user"):
        opened(model)


def test_an_engine_of_which_a_power_cut_left_only_the_name_is_none(model, state, provider):
    assert prepare(model) == 0
    (folder,) = (state / "engines").iterdir()
    (folder / stand_in_provider.ENGINE).write_bytes(b"")
    with pytest.raises(DelegateError, match="no engine is prepared"):
        opened(model)


def test_a_build_that_fails_leaves_nothing_and_keeps_what_was(model, state, provider, capsys):
    assert prepare(model) == 0
    (folder,) = (state / "engines").iterdir()
    provider["keeps_nothing"] = True
    assert prepare(model) == 1
    assert "no engine was written" in capsys.readouterr().err
    assert list((state / "engines").iterdir()) == [folder]
    assert (folder / stand_in_provider.ENGINE).is_file()


def test_a_delegate_that_runs_the_file_itself_needs_nothing(model, state, provider, capsys):
    assert prepare(model, "cuda") == 0
    assert "needs nothing prepared" in capsys.readouterr().out
    assert not (state / "engines").exists()


def test_a_library_call_without_an_engine_does_not_build_one(model, provider):
    with pytest.raises(DelegateError, match="runs a prepared engine; type: edge prepare"):
        load_model(model_file.read(model), delegate="tensorrt")
    assert provider["built"] == 0


def test_without_a_folder_to_keep_it_in_there_is_no_engine(model, provider):
    with pytest.raises(DelegateError, match="no folder for it; set StateDirectory"):
        engines.locate(model_file.read(model), "tensorrt", None)


def library(folder, *, fails=0):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler on the PATH: neither cc nor gcc")
    source, path = folder / "cuda.c", folder / f"libcuda{fails}.so"
    source.write_text(CUDA)
    words = [compiler, f"-DFAILS={fails}", "-shared", "-fPIC", "-o", str(path), str(source)]
    subprocess.run(words, check=True)
    return str(path)


def test_the_gpu_is_named_by_the_driver(tmp_path, monkeypatch):
    """By a library with the driver's functions, compiled for the test."""
    monkeypatch.setattr(engines, "CUDA_LIBRARY", library(tmp_path))
    monkeypatch.setattr(engines, "TENSORRT_LIBRARIES", ("no.so", engines.CUDA_LIBRARY))

    assert engines.gpu_name(1) == "Orin, driver 12060"
    assert engines.tensorrt_version() == "101603"
    with pytest.raises(DelegateError, match="expected GPU 2, found error 101"):
        engines.gpu_name(2)
    monkeypatch.setattr(engines, "CUDA_LIBRARY", library(tmp_path, fails=100))
    with pytest.raises(DelegateError, match="found error 100"):
        engines.gpu_name(0)
    monkeypatch.setattr(engines, "CUDA_LIBRARY", str(Path("no-such-library.so")))
    with pytest.raises(DelegateError, match="expected the library of a GPU's driver"):
        engines.gpu_name(0)
