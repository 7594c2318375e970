"""A bundle: everything that installs or updates a board without a network, in one folder."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boards import bytecode, own_wheel, wheels
from boards.carried import Carried, carry
from boards.device.bundle import ID_LENGTH
from boards.device.signatures import MANIFEST, NAMESPACE, SIGNATURE
from boards.render import PROGRAM_MODE, TEMPLATES, render, write
from edge.errors import ConfigError, DependencyError, ModelError

if TYPE_CHECKING:
    import argparse

    from boards.profile import Profile

SCHEMA_VERSION = 1
INSTALL = "install.sh"
MIB = 1024 * 1024
Described = dict[str, Any]
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a bundle is made of.

    Attributes:
        out: The folder.
        config: A TOML file; `None` for the profile's default.
        model: Instead of the configuration's; `None` for that one.
        pythons: Of the board; empty for the newest of its profile.
        source: A folder of wheels; `None` asks the package index.
        has_wheels: Else the board keeps the environment that it has.
        has_config: Else the board keeps the configuration that it has, and all of its files.
        sign: An Ed25519 key of ssh-keygen's.
        tar: Also as one file, beside the folder.
    """

    out: Path
    config: Path | None = None
    model: Path | None = None
    pythons: tuple[str, ...] = ()
    source: Path | None = None
    has_wheels: bool = True
    has_config: bool = True
    sign: Path | None = None
    tar: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """A bundle that was written.

    Attributes:
        out: Its folder.
        id: What the board calls the release.
        parts: Bytes of each of its folders.
        remarks: What may be unexpected on that board, a sentence each.
        tar: The same as one file; `None` where that was not asked for.
    """

    out: Path
    id: str
    parts: dict[str, int]
    remarks: tuple[str, ...] = ()
    tar: Path | None = None

    def fields(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "out": str(self.out), "id": self.id, "bytes": self.parts, "remarks": self.remarks,
            "tar": str(self.tar) if self.tar else None,
        }  # fmt: skip

    def rows(self) -> list[tuple[str, str]]:
        """Return it for people."""
        sizes = [(part, f"{size / MIB:.1f} MiB") for part, size in self.parts.items()]
        rows = [("bundle", str(self.out)), ("id", self.id), *sizes]
        rows += [("as one file", str(self.tar))] if self.tar else []
        return rows + [("note", remark) for remark in self.remarks]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `wanted` reads."""
    parser.add_argument(
        "--python", action="append", choices=PYTHONS, default=[], metavar="VERSION",
        help="of the board, such as 3.13; may be given twice (default: the profile's newest)",
    )  # fmt: skip
    parser.add_argument(
        "--wheels", type=Path, metavar="DIR", help="take packages from this folder, not the network"
    )
    less = parser.add_mutually_exclusive_group()
    less.add_argument(
        "--no-wheels", action="store_true", help="the board keeps its packages: a small update"
    )
    less.add_argument(
        "--model-only", action="store_true", help="the board keeps its configuration as well"
    )
    parser.add_argument(
        "--sign", type=Path, metavar="KEY", help="sign it with this key: ssh-keygen -t ed25519"
    )
    parser.add_argument("--tar", action="store_true", help="write DIR.tar as well")


def wanted(arguments: argparse.Namespace) -> Wanted:
    """Return what was asked for.

    Raises:
        ConfigError: What is to be sent does not fit together, or there is no folder of wheels.
    """
    if arguments.model_only and arguments.config:
        raise ConfigError("--model-only keeps the board's configuration; leave --config out")
    if arguments.model_only and not arguments.model:
        raise ConfigError("--model-only sends a model; name it: --model FILE")
    if arguments.wheels and not arguments.wheels.is_dir():
        raise ConfigError(f"--wheels {arguments.wheels}: expected a folder of wheels, found none")
    return Wanted(
        out=arguments.out,
        config=arguments.config,
        model=arguments.model,
        pythons=tuple(dict.fromkeys(arguments.python)),
        source=arguments.wheels,
        has_wheels=not (arguments.no_wheels or arguments.model_only),
        has_config=not arguments.model_only,
        sign=arguments.sign,
        tar=arguments.tar,
    )


def make(profile: Profile, what: Wanted) -> Made:
    """Write a bundle.

    Raises:
        EdgeError: With what is missing, or does not fit the board.
    """
    if what.sign:
        _signature(b"", what.sign)  # what is no key is said now, not after minutes of downloads
    created()
    carried = carry(profile, what.config, what.model)
    remarks, of_python = _remarks(profile, carried), dict[str, list[str]]()
    if what.has_config:
        found = render(profile, carried)
    else:
        found = {f"model/{what.model.name}": what.model} if what.model else {}
    pythons = (what.pythons or profile.python[:1]) if what.has_wheels else ()
    found[INSTALL] = (TEMPLATES / INSTALL).read_bytes()
    write(what.out, {})
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if pythons:
            own = own_wheel.make(folder)
            for python in pythons:
                target = wheels.Target(python, profile)
                names = wheels.fetch(own, folder, target, source=what.source)
                compiled = bytecode.make(folder, names, python)
                of_python[python] = sorted(names + ([compiled.name] if compiled else []))
                remarks += () if compiled else (bytecode.ABSENT.format(python=python),)
            wheels.check_pages(folder, profile)
            found |= {f"wheels/{wheel.name}": wheel for wheel in folder.glob("*.whl")}
        listed = [_described(path, content) for path, content in sorted(found.items())]
        found[MANIFEST] = text = _manifest(profile, listed, of_python)
        if what.sign:
            found[SIGNATURE] = _signature(text, what.sign)
        write(what.out, found)
    return Made(
        out=what.out,
        id=hashlib.sha256(text).hexdigest()[:ID_LENGTH],
        parts=_sizes(listed),
        remarks=remarks,
        tar=_tar(what.out) if what.tar else None,
    )


def created() -> datetime:
    """Return the time of what is made: now, or what SOURCE_DATE_EPOCH says, for equal bundles.

    Raises:
        ConfigError: That is no number of seconds.
    """
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is not None and not given.isdecimal():
        raise ConfigError(f"SOURCE_DATE_EPOCH: expected seconds since 1970, found {given!r}")
    now = datetime.now(timezone.utc)
    return datetime.fromtimestamp(int(given), timezone.utc) if given is not None else now


def _manifest(profile: Profile, listed: list[Described], wheels_of: dict[str, list[str]]) -> bytes:
    fields = {
        "schema_version": SCHEMA_VERSION,
        "version": own_wheel.version(),
        "profile": profile.name,
        "machine": profile.machine,
        "python": list(wheels_of),
        "wheels": wheels_of,
        "created_utc": created().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "files": listed,
    }
    return f"{json.dumps(fields, indent=1, sort_keys=True)}\n".encode()


def _described(place: str, content: bytes | Path) -> Described:
    data = content if isinstance(content, bytes) else content.read_bytes()
    return {"path": place, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _sizes(listed: list[Described]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for each in listed:
        part = str(each["path"]).partition("/")[0]
        sizes[part] = sizes.get(part, 0) + int(each["bytes"])
    return sizes


def _signature(text: bytes, key: Path) -> bytes:
    """Return what ssh-keygen signs a list with.

    Raises:
        ConfigError: The key is none.
        DependencyError: There is no ssh-keygen.
    """
    command = ["ssh-keygen", "-Y", "sign", "-n", NAMESPACE, "-f", str(key)]
    try:
        done = subprocess.run(command, input=text, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise DependencyError("--sign needs ssh-keygen: sudo apt install openssh-client") from error
    if done.returncode:
        raise ConfigError(
            f"{key}: expected a private key to sign with, ssh-keygen says: "
            f"{_last_line(done.stderr.decode(errors='replace'))}; make one: "
            "ssh-keygen -t ed25519 -f KEY"
        )
    return done.stdout


def _last_line(said: str) -> str:
    return (said.strip().splitlines() or ["nothing"])[-1]


def _tar(folder: Path) -> Path:
    """Write a folder as one file whose bytes depend on its files only."""
    path, at = folder.with_name(f"{folder.name}.tar"), created()
    inside = {each.relative_to(folder).as_posix(): each for each in folder.rglob("*")}
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as packed:
        for place, each in sorted(inside.items()):
            if not each.is_file():
                continue
            entry = tarfile.TarInfo(place)
            entry.size, entry.mtime = each.stat().st_size, int(at.timestamp())
            entry.mode = each.stat().st_mode & PROGRAM_MODE
            with each.open("rb") as file:
                packed.addfile(entry, file)
    return path


def _remarks(profile: Profile, carried: Carried) -> tuple[str, ...]:
    """Hold workers and model to the board; the model is read as there, in a process of its own.

    Raises:
        ModelError: It cannot be read, or runs on what the board does not have.
    """
    remarks = []
    if carried.workers > profile.max_workers:
        remarks.append(
            f"the configuration asks for {carried.workers} workers, and {profile.title} is worth "
            f"{profile.max_workers}: more share its cores and memory"
        )
    if carried.model is None:
        return tuple(remarks)
    command = [sys.executable, "-m", "edge", "inspect", str(carried.model), "--json"]
    command += ["--description", str(carried.description)] if carried.description else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ModelError(_last_line(done.stderr).removeprefix("edge: "))
    told = json.loads(done.stdout)
    delegate = str(told["delegate"])
    if delegate not in profile.delegates:
        raise ModelError(
            f"{carried.model}: runs on {delegate} only, and {profile.title} has "
            f"{', '.join(profile.delegates)}; take a model for one of those"
        )
    longest = max(told["input"]["size_wh"])
    if longest > profile.max_input_px:
        remarks.append(
            f"the model's input is {longest} pixels long, and {profile.title} is quick enough for "
            f"about {profile.max_input_px}: expect few frames a second"
        )
    return tuple(remarks)
