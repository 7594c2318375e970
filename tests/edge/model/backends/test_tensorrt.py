"""TensorRT's own Python as a backend, on stand-ins with its signatures and the CUDA driver's."""

from __future__ import annotations

import ctypes
import gc
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import onnx_bytes
import pytest

from edge import app, cli
from edge.config import reading
from edge.errors import DelegateError, DependencyError, ModelError
from edge.model import engines
from edge.model.loaded import load_model

pytestmark = pytest.mark.board

SUPPORT = Path(__file__).resolve().parents[3] / "support"
SIDE = 8
DELEGATE = "tensorrt-python"


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    """Compile what plays libcuda.so.1; return its path."""
    compiler = shutil.which("cc") or pytest.skip("no C compiler")
    path = tmp_path_factory.mktemp("cuda") / "libcuda.so"
    words = [compiler, "-shared", "-fPIC", "-o", str(path), str(SUPPORT / "stand_in_cuda.c")]
    subprocess.run(words, check=True)
    return str(path)


@pytest.fixture
def jetson(driver, monkeypatch, tmp_path):
    """Put the stand-ins in the place of TensorRT and of the driver."""
    pytest.importorskip("onnxruntime", reason="onnxruntime is an extra")
    monkeypatch.syspath_prepend(SUPPORT / "stand_ins")
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    monkeypatch.setattr(engines, "CUDA_LIBRARY", driver)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    yield monkeypatch
    sys.modules.pop("tensorrt", None)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "my.onnx"
    path.write_bytes(onnx_bytes.described(onnx_bytes.segmenter(SIDE), SIDE))
    return path


def opened(model, delegate=DELEGATE):
    config = reading.parse({"model": {"file": model, "delegate": delegate}})
    return app.open_model(config, app.model_file(config), threads=1)


def prepare(model, delegate=DELEGATE):
    return cli.main(["prepare", "--model", str(model), "--delegate", delegate])


def heads_of(loaded, image):
    buffer, heads = loaded.input_buffers()[0], loaded.output_buffers()
    buffer.fill(image)
    loaded.invoke(buffer, out=heads)
    return heads["classes"]


@pytest.mark.usefixtures("jetson")
def test_a_prepared_engine_computes_what_onnxruntime_does(model, capsys):
    assert prepare(model) == 0
    assert "Orin, driver 12060" in capsys.readouterr().out
    loaded, reference = opened(model), opened(model, "cpu")
    assert str(loaded.ran) == "tensorrt 10.3.0 on TensorRT (Orin, driver 12060)"
    for seed in range(2):  # the second one must not read the first one's input
        image = np.random.default_rng(seed).integers(0, 256, (20, 20, 3), np.uint8)
        np.testing.assert_array_equal(heads_of(loaded, image), heads_of(reference, image))


@pytest.mark.usefixtures("jetson")
def test_another_thread_than_the_one_that_loaded_it_may_invoke(model):
    assert prepare(model) == 0
    loaded, failed = opened(model), []

    def invoke():
        try:
            loaded.invoke_bare()
        except DelegateError as error:
            failed.append(error)

    thread = threading.Thread(target=invoke)
    thread.start()
    thread.join()
    assert failed == []


@pytest.mark.usefixtures("jetson")
def test_it_needs_no_onnxruntime(model):
    code = (
        "import sys\nsys.modules['onnxruntime'] = None\n"
        "from edge import app\nfrom edge.config import reading\n"
        f"config = reading.parse({{'model': {{'file': {str(model)!r}, 'delegate': {DELEGATE!r}}}}},"
        " )\nprint(app.model_file(config).format)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "onnx\n", done.stderr


@pytest.mark.usefixtures("jetson")
def test_its_memory_is_freed_with_the_model(model, driver):
    assert prepare(model) == 0
    gc.collect()
    taken = ctypes.CDLL(driver).stand_in_taken
    before = taken()
    loaded = opened(model)
    assert taken() == before + 2
    del loaded
    gc.collect()
    assert taken() == before


@pytest.mark.usefixtures("jetson")
def test_a_run_builds_nothing(model):
    with pytest.raises(DelegateError, match=rf"edge prepare --model .*--delegate {DELEGATE}"):
        opened(model)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("op", "No importer registered for op: NonMaxSuppression.*nothing is left to the CPU"),
        ("build", "no implementation for node conv.*nothing is left to the CPU"),
    ],
)
def test_a_model_that_it_does_not_take_is_refused_whole(model, jetson, fault, sentence, capsys):
    jetson.setenv("TENSORRT_STAND_IN", fault)
    assert prepare(model) == 1
    said = capsys.readouterr().err
    first, second = sentence.split(".*")
    assert first in said
    assert second in said


def test_an_engine_of_another_version_is_refused(model, jetson):
    assert prepare(model) == 0
    jetson.setenv("TENSORRT_STAND_IN", "plan")
    with pytest.raises(DelegateError, match=r"version tag does not match.*edge prepare"):
        opened(model)


def test_a_gpu_that_fails_or_has_no_room_ends_the_run(model, jetson):
    assert prepare(model) == 0
    loaded = opened(model)
    jetson.setenv("TENSORRT_STAND_IN", "run")
    with pytest.raises(DelegateError, match="failed while it ran: an illegal memory access"):
        loaded.invoke_bare()
    jetson.delenv("TENSORRT_STAND_IN")
    jetson.setenv("CUDA_STAND_IN", "full")
    with pytest.raises(DelegateError, match="error 2 of cuMemAlloc_v2"):
        opened(model)
    with pytest.raises(DelegateError, match="expected GPU 2, found error 101"):
        opened(model, f"{DELEGATE}:2")


def test_a_type_that_the_engine_has_otherwise_is_refused(model, jetson):
    assert prepare(model) == 0
    import tensorrt  # noqa: PLC0415 - the stand-in

    jetson.setattr(tensorrt, "nptype", lambda _: np.float16)
    with pytest.raises(ModelError, match="is float32 in the file, and float16 in"):
        opened(model)


def test_without_the_package_the_sentence_says_what_to_type(model, jetson):
    jetson.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(DependencyError, match="sudo apt install python3-libnvinfer"):
        opened(model)


def test_tensorrt_8_is_too_old(model, jetson):
    import tensorrt  # noqa: PLC0415 - the stand-in

    jetson.setattr(tensorrt, "__version__", "8.6.2")
    with pytest.raises(DependencyError, match=r"needs TensorRT 10 or later, found 8\.6\.2"):
        opened(model)


@pytest.mark.usefixtures("jetson")
def test_it_takes_no_other_format():
    from edge.model.default import default_model_path  # noqa: PLC0415

    with pytest.raises(DelegateError, match=r"runs \.onnx files"):
        load_model(app.read_model(default_model_path()), delegate=DELEGATE)
