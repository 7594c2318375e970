"""What commands have saved: kept in the state folder, and laid over the configuration's file.

A key whose value in the file is another since it was saved goes by the file again: the newest hand
counts. Deleting the file of a device undoes all of it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

from msgspec import field

from edge.config import toml
from edge.config.paths import anchor_inplace, state_folder
from edge.errors import ConfigError
from edge.record import Record, Unsound, read_json

log = logging.getLogger("edge")

Fields = dict[str, Any]


class Kept(Record, frozen=True):
    """A value of the configuration.

    Attributes:
        value: As TOML has it; `None` where the file's is left out.
        instead_of: Digest of what the file had when it was saved.
    """

    value: Any
    instead_of: str


class Saved(Record, frozen=True):
    """All that is kept of a device.

    Attributes:
        keys: Section, or section and key with a dot between them, to the value.
        paused: Cameras that give no frames.
        refused: Digest of a model to why it was rolled back.
    """

    keys: dict[str, Kept] = field(default_factory=dict)
    paused: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)


def place(device: str) -> Path | None:
    """Return where what is saved of a device stands; `None` without a state folder."""
    folder = state_folder()
    return folder / "saved" / f"{device}.json" if folder else None


def saved(device: str) -> Saved:
    """Return what is kept of a device; nothing where that cannot be read, which is logged."""
    path = place(device)
    try:
        return read_json(Saved, path.read_bytes()) if path else Saved()
    except FileNotFoundError:
        return Saved()
    except (OSError, Unsound) as error:
        log.warning("%s: what commands saved is left out: %s; delete it", path, error)
        return Saved()


def save(device: str, kept: Saved) -> None:
    """Write what is kept of a device, atomically.

    Raises:
        ConfigError: It cannot be written.
    """
    path = place(device)
    if path is None:
        raise ConfigError("the environment names no state folder; set XDG_STATE_HOME")
    own = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with own.open("wb") as file:
            file.write(json.dumps(kept.plain(), indent=1).encode())
            file.flush()
            os.fsync(file.fileno())
        own.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}; check the disk") from error


def keep(config: Path, device: str, values: Fields) -> None:
    """Save values of the configuration.

    Args:
        config: The file that they stand beside.
        device: Its name.
        values: As `Saved.keys`, by the same keys.

    Raises:
        ConfigError: The file cannot be read, or what is kept be written.
    """
    fields, before = anchored(config), saved(device)
    kept = {key: Kept(value, _digest(_get(fields, key))) for key, value in values.items()}
    save(device, before.replace(keys=before.keys | kept))


def anchored(path: Path) -> Fields:
    """Return what a configuration's file holds, its paths absolute.

    Raises:
        ConfigError: It cannot be read, or is not TOML.
    """
    fields = toml.read(path)
    anchor_inplace(fields, path.resolve().parent)
    return fields


def laid_over(fields: Fields, device: str) -> tuple[Fields, list[str]]:
    """Return the fields of a file with what is kept in their place, and the keys that are."""
    found, keys = dict(fields), []
    for key, kept in saved(device).keys.items():
        if _digest(_get(fields, key)) != kept.instead_of:
            continue
        if key == "model.file" and kept.value and not Path(kept.value).is_file():
            log.warning("%s was installed by a command and is gone; the file's goes on", kept.value)
            continue
        section, _, name = key.partition(".")
        if name:
            found[section] = {**found.get(section, {}), name: kept.value}
            target, last = found[section], name
        else:
            target, last = found, section
        target[last] = kept.value
        if kept.value is None:
            del target[last]
        keys.append(key)
    return found, keys


def note(device: str) -> str:
    """Return, in a sentence for people, what commands have saved of a device; empty for nothing."""
    kept = saved(device)
    known = [f"{key} = {json.dumps(each.value)[:60]}" for key, each in kept.keys.items()]
    known += [*(f"camera {name} is paused" for name in kept.paused)]
    known += [f"a model was taken back: {reason}" for reason in kept.refused.values()]
    return (
        f"commands have saved {', '.join(known)} in {place(device)}; delete it to undo them"
        if known
        else ""
    )


def _get(fields: Fields, key: str) -> object:
    section, _, name = key.partition(".")
    table = fields.get(section)
    return (table.get(name) if isinstance(table, dict) else None) if name else table


def _digest(value: object) -> str:
    text = json.dumps(value, default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
