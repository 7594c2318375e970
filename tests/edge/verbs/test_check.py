"""What `edge run` refuses before it starts, `edge check` refuses: one sentence, one status."""

from __future__ import annotations

import pytest

from edge import cli
from edge.config import reading
from edge.errors import ModelError
from edge.model import model_file, trial
from edge.model.backends import litert
from edge.model.default import default_model_path
from edge.model.readers import manifest
from edge.terminal.command import DONE, FAILED, MISUSED
from edge.verbs.check import examine

pytestmark = pytest.mark.board

BROKEN = {
    "a key that nobody knows": "[camera]\nsuorce = 'demo:'",
    "a source that nobody knows": "[camera]\nsource = 'rstp://x'",
    "a source that is not there": "[camera]\nsource = 'file:gone.mp4'",
    "no folder": "[camera]\nsource = 'images:door.toml'",
    "one of several sources": "[[camera]]\n\n[[camera]]\nname = 'b'\nsource = 'file:gone'",
    "a model that is not there": "[model]\nfile = 'gone.tflite'",
    "a model that is none": "[model]\nfile = 'door.toml'",
    "a delegate that is not installed": "[model]\ndelegate = 'edgetpu'",
    "a password file that is not there": "[mqtt]\nurl = 'mqtt://me@x'\npassword_file = 'gone'",
    "certificates that are none": "[mqtt]\nurl = 'mqtts://x'\nca_file = 'door.toml'",
    "a sink's program that is not there": "[sink]\nkind = 'command'\ncommand = ['no-such-bell']",
    "a sink's header that is not there": (
        "[[sink]]\nkind = 'jsonl'\n"
        "[[sink]]\nkind = 'webhook'\nurl = 'http://x'\nheader_file = 'gone'"
    ),
    "a sink's folder that is not there": "[sink]\nkind = 'jsonl'\npath = 'gone/seen.jsonl'",
    "a kind of sink that nobody knows": "[sink]\nkind = 'fax'",
    "results that go nowhere": "[output]\njsonl = false",
    "no TOML": "[camera",
}


def write(tmp_path, text):
    path = tmp_path / "door.toml"
    path.write_text(text, encoding="utf-8")
    return path


def said(words, capsys):
    status = cli.main([str(word) for word in words])
    return status, capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("name", BROKEN)
def test_run_and_check_refuse_alike(name, tmp_path, capsys):
    path = write(tmp_path, BROKEN[name])

    checked = said(["check", path], capsys)

    assert checked == said(["run", path, "--frames", "1"], capsys)
    assert checked[0] == MISUSED
    assert len(checked[1]) == 1


def test_a_model_that_shows_its_fault_once_it_is_loaded_is_a_failure_of_both(tmp_path, capsys):
    file = model_file.read(default_model_path())
    short = file.manifest.replace(labels=file.manifest.labels[:80])
    data = manifest.append(file.flatbuffer, short, file.description.anchors)
    (tmp_path / "short.tflite").write_bytes(data)
    path = write(tmp_path, "[model]\nfile = 'short.tflite'")

    checked = said(["check", path], capsys)

    assert checked == said(["run", path, "--frames", "1"], capsys)
    assert checked[0] == FAILED

    path.write_text(f"{path.read_text()}\n[device]\nnmae = 'x'\n")
    status, sentences = said(["check", path], capsys)
    assert status == MISUSED
    assert sentences[1:] == checked[1]


@pytest.mark.parametrize(
    "words",
    ["run door.toml", "check door.toml", "inspect MODEL", "bench MODEL", "bench MODEL --layers",
     "eval MODEL --images . --annotations x.json"],
)  # fmt: skip
def test_no_verb_hands_the_runtime_a_model_that_failed_its_trial(
    words, tmp_path, capsys, monkeypatch
):
    def refuse(file, **__):
        raise ModelError(f"{file.path}: ended by SIGSEGV when it was first run")

    monkeypatch.setattr(trial, "try_once", refuse)
    monkeypatch.setattr(litert, "_unallocated", lambda *_, **__: pytest.fail("it was loaded"))
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.chdir(write(tmp_path, "[model]\n").parent)
    given = [str(default_model_path()) if word == "MODEL" else word for word in words.split()]

    status, sentences = said(given, capsys)

    assert status == (MISUSED if "door.toml" in words else FAILED)
    assert [line for line in sentences if line.startswith("edge: ")] == [
        f"edge: {default_model_path()}: ended by SIGSEGV when it was first run"
    ]


def test_a_sound_configuration_is_said_to_be_so(tmp_path, capsys):
    path = write(tmp_path, "[camera]\nsource = 'v4l2:/dev/video0'\n[mqtt]\nurl = 'mqtt://x'\n")

    assert said(["check", path], capsys) == (DONE, [])


def test_every_fault_is_named_at_once_and_none_hides_another(tmp_path, capsys):
    path = write(
        tmp_path,
        "[[camera]]\nname = 'a b'\nsource = 'file:one'\n"
        "[[camera]]\nname = 'c'\nsource = 'file:two'\n"
        "[model]\nfile = 'three.tflite'\nthreads = 'x'\n[output]\njsonl = 1.5\n",
    )

    status, sentences = said(["check", path], capsys)

    assert status == MISUSED
    assert len(sentences) == 6
    for part in ("'a b'", "[[camera]] 1", "one", "two", "three", "threads", "jsonl"):
        assert any(part in sentence for sentence in sentences)


def test_a_path_that_only_looks_right_is_explained(tmp_path):
    (tmp_path / "Tu\u0308r.tflite").write_text("")
    path = write(tmp_path, "[model]\nfile = 'T\u00fcr.tflite'")

    (fault,) = examine(reading.load(path, {}))[1]

    assert "no such file" in fault
    assert "'Tu\\u0308r.tflite'" in fault


@pytest.mark.parametrize("words", ["run --frames 1", "check door.toml"])
def test_a_model_file_is_read_once_and_its_digest_counted_once(words, tmp_path, capfd, monkeypatch):
    read, digested = [], []
    real, digest = model_file._read_bytes, manifest.digest_of
    monkeypatch.setattr(model_file, "_read_bytes", lambda path: (read.append(path), real(path))[1])
    monkeypatch.setattr(manifest, "digest_of", lambda data: (digested.append(1), digest(data))[1])
    monkeypatch.chdir(write(tmp_path, "[model]\n").parent)

    assert said(words.split(), capfd)[0] == DONE
    assert (len(read), len(digested)) == (1, 1)


def test_all_that_is_wrong_with_the_broker_s_files_is_told_at_once(tmp_path, capsys):
    text = "[mqtt]\nurl = 'mqtts://me@x'\npassword_file = 'gone'\nca_file = 'door.toml'"

    _, lines = said(["check", write(tmp_path, text)], capsys)

    assert ["password file" in lines[0], "certificates" in lines[1]] == [True, True]
