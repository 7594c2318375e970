"""A bundle lists what it holds, is the same for the same inputs, and refuses what will not run."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from fake_wheels import make_wheel

from boards import own_wheel
from boards.cli import main

pytestmark = pytest.mark.board

# Some version of each package that a board needs.
NEEDED = {
    "ai-edge-litert": "2.3", "numpy": "2.0", "opencv-python-headless": "4.8",
    "paho-mqtt": "2.1", "msgspec": "0.20", "shtab": "1.13", "tqdm": "4.66",
}  # fmt: skip
BUILT_IN = Path(__file__).parents[2] / "edge/model/default/ssdlite_mobilenet_v2_coco.tflite"
AN_HOUR = "1700000000"


@pytest.fixture(autouse=True)
def _an_hour(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", AN_HOUR)


def bundled(out, *arguments, capsys):
    """Make one, and return its list and what was printed as JSON."""
    status = main(["bundle", "pi5", "--out", str(out), *map(str, arguments), "--json"])
    printed = capsys.readouterr()
    assert status == 0, printed.err
    return json.loads((out / "bundle.json").read_text()), json.loads(printed.out)


def refused(tmp_path, *arguments, capsys):
    assert main(["bundle", *map(str, arguments), "--out", str(tmp_path / "out")]) > 0
    return capsys.readouterr().err


def places(folder):
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def test_a_whole_bundle_holds_all_that_a_board_needs_and_lists_it(tmp_path, capsys):
    for name, version in NEEDED.items():
        make_wheel(tmp_path / "index", name, version=version)
    out = tmp_path / "out"

    listed, printed = bundled(out, "--wheels", tmp_path / "index", capsys=capsys)

    rows = {row["path"]: row for row in listed.pop("files")}
    wheels = [row.removeprefix("wheels/") for row in rows if row.startswith("wheels/")]
    assert listed.pop("wheels") == {"3.13": wheels}
    assert listed == {
        "schema_version": 1, "version": own_wheel.version(), "profile": "pi5",
        "machine": "aarch64", "python": ["3.13"], "created_utc": "2023-11-14T22:13:20Z",
    }  # fmt: skip
    assert list(rows) == [place for place in places(out) if place != "bundle.json"]
    for place, row in rows.items():
        data = (out / place).read_bytes()
        assert (row["bytes"], row["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    names = {name.partition("-")[0] for name in wheels} - {"edge_vision_bytecode"}
    assert names == {name.replace("-", "_") for name in (*NEEDED, "edge-vision")}
    with zipfile.ZipFile(next((out / "wheels").glob("edge_vision-*.whl"))) as packed:
        inside = set(packed.namelist())
    for folder in ("templates", "profiles"):
        for file in (own_wheel.SOURCE / "boards" / folder).iterdir():
            assert f"boards/{folder}/{file.name}" in inside
    whole = (out / "bundle.json").read_bytes()
    assert printed["id"] == hashlib.sha256(whole).hexdigest()[:12]
    assert os.access(out / "install.sh", os.X_OK)


def test_the_same_inputs_give_the_same_bytes_and_another_hour_another_time_only(
    tmp_path, capsys, monkeypatch
):
    made = [
        bundled(tmp_path / name, "--no-wheels", "--tar", capsys=capsys)[0] for name in ("a", "b")
    ]
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    now, _ = bundled(tmp_path / "c", "--no-wheels", capsys=capsys)

    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert made[0] == made[1]
    assert now.pop("created_utc") > made[0].pop("created_utc")
    assert now == made[0]


def test_the_one_file_holds_what_the_folder_does(tmp_path, capsys):
    _, printed = bundled(tmp_path / "a", "--no-wheels", "--tar", capsys=capsys)

    with tarfile.open(printed["tar"]) as packed:
        assert packed.getnames() == places(tmp_path / "a")
        entry = packed.getmember("install.sh")
    assert (entry.mtime, entry.uid, entry.mode) == (int(AN_HOUR), 0, 0o755)


def test_an_update_leaves_the_environment_or_also_the_configuration_as_they_are(tmp_path, capsys):
    small, _ = bundled(tmp_path / "a", "--no-wheels", capsys=capsys)
    model, _ = bundled(tmp_path / "b", "--model-only", "--model", BUILT_IN, capsys=capsys)

    assert not [row for row in small["files"] if row["path"].startswith("wheels/")]
    assert "device.toml" in {row["path"] for row in small["files"]}
    assert small["python"] == []
    assert [row["path"] for row in model["files"]] == [
        "install.sh", f"model/{BUILT_IN.name}"
    ]  # fmt: skip


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="needs ssh-keygen: openssh-client")
def test_a_signature_is_what_ssh_keygen_verifies(tmp_path, capsys):
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    out = tmp_path / "out"
    bundled(out, "--no-wheels", "--sign", key, capsys=capsys)
    signers = tmp_path / "signers"
    signers.write_text(f"me {Path(f'{key}.pub').read_text()}")
    verify = ["ssh-keygen", "-Y", "verify", "-f", signers, "-I", "me", "-n", "edge-vision"]
    verify += ["-s", out / "bundle.json.sig"]
    whole = (out / "bundle.json").read_bytes()

    assert subprocess.run(verify, input=whole, check=False).returncode == 0
    assert subprocess.run(verify, input=whole + b" ", check=False).returncode != 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        pytest.param(["--sign", "{}/gone"], "expected a private key to sign with", id="no key"),
        pytest.param(["--sign", "{}/mine.pub"], "expected a private key", id="a public key"),
        pytest.param(["--wheels", "{}/gone"], "expected a folder of wheels", id="no wheels"),
        pytest.param(["--out", "{}/used"], "expected a new or empty folder", id="a used folder"),
        pytest.param(["--out", "{}/mine.pub/out"], "cannot be written", id="no folder"),
    ],
)
def test_what_cannot_go_well_is_said_before_anything_is_downloaded(
    tmp_path, more, said, monkeypatch, capsys
):
    monkeypatch.setattr(own_wheel, "make", lambda _: pytest.fail("packages were fetched"))
    (tmp_path / "mine.pub").write_text("ssh-ed25519 AAAA me\n")
    (tmp_path / "used").mkdir()
    (tmp_path / "used/file").write_text("")
    given = ["--out", str(tmp_path / "out"), *(each.format(tmp_path) for each in more)]

    assert main(["bundle", "pi5", *given]) > 0

    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_is_no_key_is_said_in_a_sentence(tmp_path, capsys):
    (tmp_path / "key").write_text("mine")

    said = refused(tmp_path, "pi5", "--no-wheels", "--sign", tmp_path / "key", capsys=capsys)

    assert "expected a private key to sign with" in said
    assert "ssh-keygen -t ed25519 -f KEY" in said
    assert not (tmp_path / "out").exists()


def test_a_model_that_cannot_be_read_stays_here(tmp_path, capsys):
    (tmp_path / "a.tflite").write_bytes(b"no model")

    said = refused(tmp_path, "pi5", "--no-wheels", "--model", tmp_path / "a.tflite", capsys=capsys)

    assert f"edge-board: {tmp_path}/a.tflite: " in said
    assert not (tmp_path / "out").exists()


def test_what_is_too_much_for_a_board_is_said_and_made(tmp_path, capsys):
    (tmp_path / "door.toml").write_text("[model]\nworkers = 9\n")

    _, printed = bundled(
        tmp_path / "out", "--no-wheels", "--config", tmp_path / "door.toml", capsys=capsys
    )

    (remark,) = printed["remarks"]
    assert remark.startswith("the configuration asks for 9 workers, and Raspberry Pi 5 is worth 2:")


def test_a_model_alone_must_be_named(tmp_path, capsys):
    assert "--model FILE" in refused(tmp_path, "pi5", "--model-only", capsys=capsys)


def test_a_model_alone_comes_without_a_configuration(tmp_path, capsys):
    both = ("--model-only", "--model", BUILT_IN, "--config", tmp_path / "door.toml")

    assert "leave --config out" in refused(tmp_path, "pi5", *both, capsys=capsys)


def test_seconds_that_are_none_are_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")

    said = refused(tmp_path, "pi5", "--no-wheels", capsys=capsys)

    assert "SOURCE_DATE_EPOCH: expected seconds since 1970, found 'yesterday'" in said


@pytest.mark.slow
def test_our_wheel_has_the_same_bytes_each_time(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    wheels = [own_wheel.make(tmp_path / name) for name in ("a", "b")]

    assert wheels[0].read_bytes() == wheels[1].read_bytes()
