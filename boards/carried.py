"""What a board is given of a configuration: its text, and the files that it names here."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from boards.device.configuration import with_keys
from boards.device.place import CREDENTIALS
from edge.config import toml
from edge.config.paths import PATH_KEYS, anchor_inplace
from edge.config.reading import parse
from edge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from boards.profile import Profile

# Where the unit's sandbox lets the service write.
WRITABLE = ("/var/lib/edge-vision/", "/run/edge/")
SECRETS = ("password_file", "token_file", "header_file")
OUTPUTS = ("path", "folder")
# The broker's is there for a configuration that asks for it later, too.
ALWAYS = "mqtt"

DEFAULT = """\
# edge-vision on a {title}. Every key: docs/configuration.md

[camera]
source = "{camera}"

[model]
threads = {threads}
# What this board may have to run a model, the quickest first: {delegates}
delegate = "cpu"

# Until a broker is named, results go to the log.
[output]
results_hz = 1

# [mqtt]
# url = "mqtt://USER@BROKER"
# password_file = "/run/credentials/edge.service/mqtt"  # this is /etc/edge/secrets/mqtt
"""


@dataclass(frozen=True, slots=True)
class Carried:
    """What goes onto a board.

    Attributes:
        text: Of device.toml.
        files: By their place in a bundle, where they lie here.
        secrets: Names of the credentials that the service is handed.
        model: The model, where it lies here; `None` for the built-in one.
        description: What describes it, where it lies here.
        workers: Interpreters that the configuration asks for.
    """

    text: str
    files: dict[str, Path] = field(default_factory=dict)
    secrets: tuple[str, ...] = (ALWAYS,)
    model: Path | None = None
    description: Path | None = None
    workers: int = 1


def carry(profile: Profile, config: Path | None, model: Path | None) -> Carried:
    """Return what a board is given.

    Args:
        profile: Its defaults serve where there is no configuration.
        config: A TOML file; its text stays as it is, but for paths of files that are carried.
        model: Takes the place of the one that the configuration names.

    Raises:
        ConfigError: The configuration has faults; or it names files that cannot be carried.
    """
    if config is None:
        text = DEFAULT.format(
            title=profile.title, camera=profile.camera, threads=profile.threads,
            delegates=", ".join(profile.delegates),
        )  # fmt: skip
        fields: dict[str, Any] = toml.loads(text)
    else:
        fields = toml.read(config)
        text = _text(config)
        _check(config, fields)
    found = _with_files(text, fields, config=config, model=model)
    asked = parse(toml.loads(found.text), where=f"{config}: " if config else "").model
    if asked.delegate.partition(":")[0] not in (*profile.delegates, "external"):
        raise ConfigError(
            f"{config}: [model] delegate = {asked.delegate!r}, and {profile.title} has "
            f"{', '.join(profile.delegates)}; choose one of those"
        )
    return replace(found, workers=asked.workers)


def _with_files(
    text: str, fields: dict[str, Any], *, config: Path | None, model: Path | None
) -> Carried:
    """Let the text name the files by their places in a bundle."""
    wanted = copy.deepcopy(fields)
    if config:
        anchor_inplace(wanted, config.resolve().parent)
    section = wanted.get("model") or {}
    model = model or section.get("file")
    description = section.get("description") if model == section.get("file") else None
    certificates = (wanted.get("mqtt") or {}).get("ca_file")
    # One of the system's own, by an absolute path, is on the board as well.
    is_own = certificates and not fields["mqtt"]["ca_file"].startswith("/")
    files: dict[str, Path] = {}
    for path, (table, key), folder, named in (
        (model, ("model", "file"), "model/", "model/"),
        (description, ("model", "description"), "model/", "model/"),
        (certificates if is_own else None, ("mqtt", "ca_file"), "root/etc/edge/", "/etc/edge/"),
    ):
        if path is None:
            continue
        if not path.is_file():
            raise ConfigError(f"[{table}] {key}: expected a file, found none at {path}")
        if not path.name.isprintable():
            raise ConfigError(f"[{table}] {key}: {path.name!a} is no text; give it another name")
        files[f"{folder}{path.name}"] = path
        text = _with_key(text, (table, key), f"{named}{path.name}")
    if section.get("description") and not description:
        raise ConfigError(
            f"{config}: [model] description describes another model than --model; take it out"
        )
    return Carried(text, files, _secrets(fields), model=model, description=description)


def _with_key(text: str, place: tuple[str, str], value: str) -> str:
    """Return a TOML with a text as the value of a key, and nothing else changed.

    Raises:
        ConfigError: Its table is not written in a way that this can follow.
    """
    table, key = place
    wanted = toml.loads(text)
    wanted.setdefault(table, {})[key] = value
    changed = with_keys(text, table, {key: value})
    try:
        is_right = toml.loads(changed) == wanted
    except toml.DecodeError:
        is_right = False
    if not is_right:
        raise ConfigError(
            f"[{table}] {key}: expected a plain table with a line for each key, to write the "
            f"path {value!r} into; write [{table}] on a line of its own and {key} = … below"
        )
    return changed


def _check(config: Path, fields: dict[str, Any]) -> None:
    """Refuse what a configuration names that will not be on the board, or not be allowed there."""
    parse(fields, where=f"{config}: ")
    faults = [
        fault
        for table, key, value in _paths(fields)
        for fault in [_fault(key, value)]
        if fault and table != "model"
    ]
    anchored = copy.deepcopy(fields)
    anchor_inplace(anchored, config.resolve().parent)
    for before, after in zip(_tables(fields, "camera"), _tables(anchored, "camera"), strict=True):
        if before.get("source") != after.get("source"):
            faults.append(
                f"source = {before['source']!r} is a file here; give an absolute path on the board"
            )
    if faults:
        raise ConfigError("\n".join(f"{config}: {fault}" for fault in faults))


def _fault(key: str, value: str) -> str:
    if key in SECRETS and not re.fullmatch(rf"{CREDENTIALS}[\w.-]+", value):
        return (
            f"{key} = {value!r}: a secret does not travel in a bundle; write {key} = "
            f'"{CREDENTIALS}NAME", and put it to /etc/edge/secrets/NAME on the board'
        )
    if key in OUTPUTS and not value.startswith(WRITABLE):
        return f"{key} = {value!r}: the service may write below {' and '.join(WRITABLE)} only"
    return ""


def _secrets(fields: dict[str, Any]) -> tuple[str, ...]:
    named = {value[len(CREDENTIALS) :] for _, key, value in _paths(fields) if key in SECRETS}
    return tuple(sorted(named | {ALWAYS}))


def _paths(fields: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name, key in PATH_KEYS:
        for table in _tables(fields, name):
            if isinstance(table.get(key), str):
                yield name, key, table[key]


def _tables(fields: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = fields.get(name, [])
    return [found] if isinstance(found, dict) else found


def _text(config: Path) -> str:
    try:
        return config.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{config}: expected UTF-8 to carry it; save it as UTF-8") from error
