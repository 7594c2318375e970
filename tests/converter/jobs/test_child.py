"""A child process has a folder, a path and limits of its own, and fails with one sentence."""

from __future__ import annotations

import logging
import re
import stat
from pathlib import Path

import pytest

from converter.jobs.child import Child, job_folder, run_child
from edge.errors import ConfigError, DependencyError, ModelError

MAIN = "def main(folder, job):\n    "


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a job's folder, which is made in this test's own."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with job_folder() as made:
        yield made


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Return a function that puts a module where the child finds it."""
    place = tmp_path / "modules"
    place.mkdir()
    monkeypatch.syspath_prepend(str(place))

    def write(text):
        (place / "job_module.py").write_text(text)
        return "job_module"

    return write


def run(module, folder, *, job=None, **child):
    run_child(module, folder, job=job or {}, purpose="convert this graph", child=Child(**child))


def test_noise_goes_nowhere_when_all_went_well(modules, folder, capfd):
    module = modules(f"{MAIN}print('noise'); (folder / 'out').write_text(job['text'])")

    run(module, folder, job={"text": "done"})

    assert (folder / "out").read_text() == "done"
    assert not list(folder.glob("*.log"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("print('noise'); raise ValueError('too green')", "ValueError: too green"),
        ("import os; print('noise', flush=True); os.abort()", "ended by SIGABRT"),
        ("raise SystemExit(3)", "exit status 3"),
    ],
    ids=["exception", "abort", "silence"],
)
def test_a_failure_is_one_sentence_that_names_the_log(text, words, modules, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    module = modules(f"{MAIN}(folder / 'large').mkdir(); {text}")
    with job_folder() as folder, pytest.raises(ModelError) as caught:
        run(module, folder)

    message = str(caught.value)
    assert message.startswith("TensorFlow cannot convert this graph: ")
    assert words in message
    assert "\n" not in message
    log = Path(re.search(r"its log is (\S+)$", message)[1])
    assert list(folder.iterdir()) == [log]
    assert (words == "exit status 3") or "noise" in log.read_text()


def test_the_folder_is_the_users_alone_and_gone_afterwards(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    precious = tmp_path / "weights"
    precious.write_text("mine")

    with job_folder() as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "link").symlink_to(precious)

    assert not folder.exists()
    assert precious.read_text() == "mine"


def test_a_place_that_cannot_be_written_is_said_with_what_to_set(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))

    with pytest.raises(ModelError, match="set TMPDIR to another"), job_folder():
        pass


def test_a_missing_tensorflow_is_said_with_what_to_type(modules, folder):
    text = "raise ModuleNotFoundError(\"No module named 'tensorflow'\")"

    with pytest.raises(DependencyError, match=r"pip install 'edge-vision\[converter\]'"):
        run(modules(text), folder)


def test_an_error_of_ours_comes_through_as_what_it_was(modules, folder):
    text = f"from edge.errors import ConfigError\n{MAIN}raise ConfigError('say --size')"

    with pytest.raises(ConfigError, match="say --size"):
        run(modules(text), folder)


@pytest.mark.parametrize("stray", ["numpy", "ai_edge_litert", "job_module", "json"])
def test_a_stray_module_in_the_users_folder_is_never_run(
    stray, modules, folder, tmp_path, monkeypatch
):
    user = tmp_path / "user"
    user.mkdir()
    (user / f"{stray}.py").write_text(f"open({str(user / 'ran')!r}, 'w')")
    module = modules(f"import numpy, json, ai_edge_litert\n{MAIN}assert numpy.ones(1).sum() == 1")
    monkeypatch.chdir(user)
    monkeypatch.setenv("PYTHONPATH", ".")
    monkeypatch.syspath_prepend(str(user))
    monkeypatch.syspath_prepend("")

    run(module, folder)

    assert not (user / "ran").exists()


def test_a_job_works_in_its_own_folder(modules, folder):
    run(modules(f"import os\n{MAIN}assert os.getcwd() == str(folder)"), folder)


def test_a_job_that_takes_too_long_is_ended(modules, folder):
    module = modules(f"import time\n{MAIN}time.sleep(60)")

    with pytest.raises(ModelError, match="ended, after 1 s"):
        run(module, folder, time_s=1)


def test_a_job_that_wants_too_much_memory_fails_itself(modules, folder):
    with pytest.raises(ModelError, match="MemoryError"):
        run(modules(f"{MAIN}bytearray(2**30)"), folder, memory_bytes=2**28)


def test_its_steps_are_logged_as_they_come(modules, folder, caplog):
    caplog.set_level(logging.INFO)
    text = (
        f"from converter.jobs.child import step\n{MAIN}step('reads the model'); step('lowers it')"
    )

    run(modules(text), folder)

    assert [record.getMessage() for record in caplog.records] == [
        "TensorFlow reads the model",
        "TensorFlow lowers it",
    ]


@pytest.mark.parametrize(("device", "seen"), [("cpu", "-1"), ("gpu", "0")])
def test_a_gpu_is_seen_by_the_jobs_that_ask_for_one(device, seen, modules, folder, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    text = f"import os\n{MAIN}assert os.environ['CUDA_VISIBLE_DEVICES'] == {seen!r}"

    run(modules(text), folder, device=device)
