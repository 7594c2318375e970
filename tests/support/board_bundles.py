"""Bundles that are small, and a board in a folder whose Python makes environments in no time."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from boards.device import bundle as bundles
from boards.device import download, environments, files, install, unpack
from boards.device.place import Place

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONFIG = '[device]\nname = "door"\n[camera]\nsource = "demo:"\n'
UNIT = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"
UNIT_PATH = "root/etc/systemd/system/edge.service"
WHEELS = {
    "wheels/edge_vision-0.1.0-py3-none-any.whl": "own",
    "wheels/numpy-2-py3-none-any.whl": "n",
}
FULL = {"device.toml": CONFIG, UNIT_PATH: UNIT, **WHEELS}


def write_bundle(folder: Path, contents: dict[str, str], **changes: Any) -> Path:
    """Write a bundle of these files; `changes` are of its list."""
    for name, text in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    listed = [
        {"path": name, "bytes": len(text.encode()), "sha256": sha256(text.encode()).hexdigest()}
        for name, text in sorted(contents.items())
    ]
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    wheels = [name.removeprefix("wheels/") for name in contents if name.startswith("wheels/")]
    fields = {
        "schema_version": 1, "version": "0.1.0", "profile": "generic-aarch64",
        "machine": platform.machine(), "created_utc": "2026-11-26T00:00:00Z",
        "python": [python], "wheels": {python: wheels}, "files": listed,
    }  # fmt: skip
    (folder / "bundle.json").write_text(json.dumps(fields | changes, sort_keys=True), "utf-8")
    return folder


class Programs:
    """Stands in for venv, unpacking and the self-test of a new release.

    Attributes:
        asked: Command lines, in order.
        answers: A word of a command line to what the program says as it fails.
        made: Told of each file that a program wrote.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, str] = {}
        self.made: Callable[[Path], object] = lambda _: None

    def __call__(self, *command: str, **_: Any) -> str:
        line = " ".join(command)
        self.asked.append(line)
        if "-m venv" in line:
            self._write(command[-1], "bin/python", "bin/edge")
        return next((said for word, said in self.answers.items() if word in line), "")

    def lay_out(self, wheel: Path, venv: Path, *, python: str) -> None:
        self.asked.append(f"{python} unpacks {wheel.name}")
        package = wheel.name.partition("-")[0].removesuffix("_vision")
        self._write(str(venv), f"lib/{package}/__init__.py")

    def _write(self, folder: str, *names: str) -> None:
        for name in names:
            path = files.Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name, encoding="utf-8")
            self.made(path)


def stand_in(monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Let no program be run by an install, and nobody wait for the disk of the tests."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(os, "sync", lambda: None)
    monkeypatch.setattr(files, "syncfs", lambda _: 0)
    programs = Programs()
    monkeypatch.setattr(unpack, "lay_out", programs.lay_out)
    for module in (environments, install):
        monkeypatch.setattr(module, "run", programs)
    return programs


def install_into(
    root: Path,
    bundle: Path,
    given: install.Given = install.NOTHING,
    *,
    said: list[str] | None = None,
) -> list[str]:
    """Install a bundle on the board in a folder; return what was said, also where it fails."""
    said = [] if said is None else said
    place = Place(root, said.append)
    with files.told(), files.locked(place.lock), bundles.opened(place, bundle) as opened:
        install.install(place, opened, given)
    return said


def fetch(place: Place, url: str, **more: Any) -> bytes:
    """Return the first byte of what a URL gives."""
    with download.fetched(place, url, **more) as path:
        return path.read_bytes()[:1]


def tarred(folder: Path) -> Path:
    path = folder.with_suffix(".tar")
    with tarfile.open(path, "w") as archive:
        archive.add(folder, arcname=folder.name)
    return path


def sign(tmp_path: Path, place: Place, *bundles_: Path, key: str = "key") -> None:
    """Sign bundles with a key, which the board then trusts."""
    if not shutil.which("ssh-keygen"):
        pytest.skip("ssh-keygen is not installed")
    path = tmp_path / key
    if not path.exists():
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
        subprocess.run(command, check=True)
    for bundle in bundles_:
        command = ["ssh-keygen", "-q", "-Y", "sign", "-n", "edge-vision", "-f", str(path)]
        subprocess.run([*command, str(bundle / "bundle.json")], check=True, capture_output=True)
    if key == "key":
        place.etc.mkdir(parents=True, exist_ok=True)
        text = f"admin {path.with_suffix('.pub').read_text()}"
        (place.etc / "allowed_signers").write_text(text)
