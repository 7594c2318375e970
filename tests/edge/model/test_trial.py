"""The trial: what ends a process ends a child's, and a model that passed is not tried again."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from importlib.metadata import version
from pathlib import Path

import factories
import hostile_models
import numpy as np
import pytest
from reference import tiny_model, tiny_segmenter
from waiting import Stopwatch

from edge.errors import ModelError
from edge.model import model_file, trial
from edge.model.backends.litert import runtime_name
from edge.model.default import default_model_path
from edge.model.readers import manifest

pytestmark = pytest.mark.board

PATH = Path("model.tflite")
SMALL = tiny_segmenter.flatbuffer()


def file_of(flatbuffer):
    digest = manifest.digest_of(flatbuffer)
    return factories.model_file(
        path=PATH, flatbuffer=flatbuffer, manifest=factories.manifest(digest=digest)
    )


def shipped():
    return model_file.read(default_model_path()).flatbuffer


def crashing():
    """Return a model that ends the process: LiteRT reads the first input of an op unasked."""
    model = hostile_models.unpacked(tiny_model.build())
    model.subgraphs[0].operators[0].inputs = np.array([-1], np.int32)
    return hostile_models.packed(model)


def refusal(flatbuffer, **limits):
    given = {"memory_bytes": 2**30} | limits
    with pytest.raises(ModelError) as caught:
        trial.try_once(file_of(flatbuffer), limits=trial.Limits(**given))
    return str(caught.value)


@pytest.fixture
def tried(monkeypatch):
    """Return a list that grows by one with each trial."""
    found = []
    real = trial.try_once
    monkeypatch.setattr(
        trial, "try_once", lambda *given, **more: (found.append(given), real(*given, **more))
    )
    return found


def test_a_sound_model_passes_once_and_is_not_tried_again(tmp_path, tried):
    for _ in range(3):
        trial.admit(file_of(SMALL), state_folder=tmp_path / "made" / "later")

    assert len(tried) == 1


def test_another_model_is_tried(tmp_path, tried):
    trial.admit(file_of(SMALL), state_folder=tmp_path)
    trial.admit(file_of(tiny_model.build()), state_folder=tmp_path)
    trial.admit(file_of(SMALL), state_folder=tmp_path)

    assert len(tried) == 2


@pytest.mark.parametrize("package", ["edge_vision", runtime_name()])
def test_another_version_of_the_program_or_the_runtime_tries_again(
    tmp_path, tried, monkeypatch, package
):
    real = trial.installed
    trial.admit(file_of(SMALL), state_folder=tmp_path)
    monkeypatch.setattr(trial, "installed", lambda name: "9" if name == package else real(name))
    trial.admit(file_of(SMALL), state_folder=tmp_path)

    assert len(tried) == 2


def test_a_tree_that_was_not_installed_tries_each_time(tmp_path, tried, monkeypatch):
    monkeypatch.setattr(trial, "installed", lambda _: "")
    (tmp_path / trial.REMEMBERED).write_text("\n\n")
    trial.admit(file_of(SMALL), state_folder=tmp_path)
    trial.admit(file_of(SMALL), state_folder=tmp_path)

    assert len(tried) == 2


@pytest.mark.parametrize("package", ["numpy", "edge-vision", runtime_name()])
def test_an_installed_package_is_found_by_the_name_of_its_metadata(package):
    name = package.replace("-", "_")

    assert trial.installed(name) == f"{name}-{version(package)}"
    assert trial.installed("no_such_package") == ""


def test_a_model_that_failed_is_not_remembered(tmp_path, tried):
    for _ in range(2):
        with pytest.raises(ModelError):
            trial.admit(file_of(crashing()), state_folder=tmp_path)

    assert len(tried) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"\xff\xfe\0", b"", b"sha256:0 x\n" * 10])
def test_a_damaged_memory_only_means_another_trial(tmp_path, tried, content):
    (tmp_path / trial.REMEMBERED).write_bytes(content)
    for _ in range(2):
        trial.admit(file_of(SMALL), state_folder=tmp_path)

    assert len(tried) == 1


def test_a_folder_that_cannot_be_used_is_said_at_debug_level(tmp_path, tried, caplog):
    file = tmp_path / "file"
    file.write_text("")
    with caplog.at_level(logging.DEBUG, logger="edge.model.trial"):
        trial.admit(file_of(SMALL), state_folder=file / "below")
        trial.admit(file_of(SMALL), state_folder=None)

    assert len(tried) == 2
    assert {record.levelname for record in caplog.records} == {"DEBUG"}
    assert "cannot be remembered" in caplog.text


def test_the_memory_does_not_grow_for_ever(tmp_path):
    (tmp_path / trial.REMEMBERED).write_text("an older one\n" * 5000)
    trial.admit(file_of(SMALL), state_folder=tmp_path)

    lines = (tmp_path / trial.REMEMBERED).read_text().splitlines()
    assert len(lines) == trial.MAX_REMEMBERED
    assert lines[0].startswith("sha256:")


def test_a_crash_ends_the_child_and_is_named():
    assert refusal(crashing()) == (
        "model.tflite: ended by SIGSEGV when it was first run; "
        "the model is damaged or hostile: copy it or convert it again"
    )


def test_what_the_runtime_refuses_is_told_in_its_own_words():
    told = refusal(tiny_segmenter.flatbuffer("SomeOp"))

    assert "cannot load this model: Encountered unresolved custom op: SomeOp" in told


def test_a_model_that_fails_when_it_is_invoked_is_refused():
    """A graph without ops leaves its output without memory."""
    model = hostile_models.unpacked(SMALL)
    model.subgraphs[0].operators = []

    assert "cannot run this model: " in refusal(hostile_models.packed(model))


def test_a_model_for_an_edge_tpu_passes_as_far_as_the_cpu_can_tell():
    trial.try_once(
        file_of(tiny_segmenter.flatbuffer("edgetpu-custom-op")), limits=trial.Limits(2**30)
    )


def test_a_model_that_needs_more_memory_than_it_may_is_refused():
    """Of 48 MiB in and 12 MiB out; what says so is XNNPACK."""
    model = hostile_models.unpacked(SMALL)
    image, pooled = model.subgraphs[0].tensors
    image.shape = np.array([1, 4096, 4096, 3], np.int32)
    pooled.shape = np.array([1, 2048, 2048, 3], np.int32)
    flatbuffer = hostile_models.packed(model)

    trial.try_once(file_of(flatbuffer), limits=trial.Limits(256 * 2**20))
    assert "cannot load this model" in refusal(flatbuffer, memory_bytes=32 * 2**20)


def test_a_model_that_takes_too_long_is_ended():
    with Stopwatch() as watch:
        told = refusal(shipped(), time_s=0.01)

    assert "did not end within 0.01 s" in told
    assert watch.elapsed_s < 5


@pytest.mark.parametrize(
    ("status", "line", "words"),
    [
        pytest.param(1, "TypeError: no", "failed when it was first run (TypeError: no)", id="1"),
        pytest.param(9, "", "(exit status 9)", id="no words"),
        pytest.param(-6, "what():  std::bad_alloc", "needed more than 1 MiB", id="C++ memory"),
        pytest.param(-6, "check failed", "ended by SIGABRT", id="abort"),
        pytest.param(-24, "", "took more than 60 s of CPU", id="CPU time"),
        pytest.param(5, "", "needed more than 1 MiB", id="Python's memory"),
    ],
)
def test_each_way_to_fail_is_a_sentence(status, line, words):
    assert words in trial._fault(status, line, limits=trial.Limits(2**20), runtime="tflite")


def test_the_child_is_limited_and_leaves_no_core(tmp_path):
    """A runtime that says how it is held, in place of LiteRT."""
    (tmp_path / "told.py").write_text(
        "import os, resource, sys\n"
        "class OpResolverType:\n    BUILTIN_WITHOUT_DEFAULT_DELEGATES = 0\n"
        "def Interpreter(**options):\n"
        "    kinds = ('AS', 'CPU', 'FSIZE', 'CORE')\n"
        "    held = [resource.getrlimit(getattr(resource, 'RLIMIT_' + k))[0] for k in kinds]\n"
        "    raise ValueError([*held, os.getcwd(), os.getsid(0) == os.getpid(), sys.path])\n"
    )
    job = {"path": [str(tmp_path), *sys.path], "runtime": "told", "memory_bytes": 2**28}
    job |= {"format": "tflite", "cpu_s": 7, "log_bytes": 4096}
    done = subprocess.run(
        [sys.executable, "-I", "-S", trial.first_run.__file__, json.dumps(job)],
        input=b"", capture_output=True, check=False, cwd="/", start_new_session=True,
    )  # fmt: skip

    told = eval(done.stderr)  # noqa: S307 - our own words
    assert 2**28 < told[0] < 2**30
    assert told[1:4] == [7, 4096, 0]
    assert told[4:6] == ["/", True]
    assert done.returncode == trial.first_run.LOAD_REFUSED


def test_a_trial_works_beside_running_threads():
    stop = threading.Event()
    threads = [threading.Thread(target=stop.wait) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        trial.try_once(file_of(SMALL), limits=trial.Limits(2**30))
    finally:
        stop.set()
