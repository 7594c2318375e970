"""What commands have saved: kept in the state folder, and laid over the configuration's file.

A key whose value in the file is another since it was saved goes by the file again: the newest hand
counts. Deleting the file of a device undoes all of it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import field

from edge.config.paths import read_anchored, state_folder
from edge.errors import ConfigError
from edge.record import Record, Unsound, read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger("edge")

Fields = dict[str, Any]
# What describes one file does not describe another: with this key the description goes as well.
MODEL_FILE, DESCRIPTION = "model.file", "description"


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


def saved(device: str, *, tells: bool = False) -> Saved:
    """Return what is kept of a device; nothing where that cannot be read, which `tells` logs."""
    path = place(device)
    try:
        return read_json(Saved, path.read_bytes()) if path else Saved()
    except FileNotFoundError:
        return Saved()
    except (OSError, Unsound) as error:
        if tells:
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
    try:
        write_json(path, kept)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}; check the disk") from error


def keep(
    config: Path, device: str, values: Fields, *, pauses: tuple[Sequence[str], bool] = ((), False)
) -> None:
    """Save values of the configuration.

    Args:
        config: The file that they stand beside.
        device: Its name.
        values: As `Saved.keys`, by the same keys.
        pauses: Names of cameras, and whether they pause from now on.

    Raises:
        ConfigError: The file cannot be read, or what is kept be written.
    """
    fields, before = read_anchored(config) if values else {}, saved(device)
    kept = {key: Kept(value, _digest(fields, key)) for key, value in values.items()}
    others = {*before.paused} - {*pauses[0]}
    paused = tuple(sorted(others | {*pauses[0]} if pauses[1] else others))
    save(device, before.replace(keys=before.keys | kept, paused=paused))


def holding(fields: Fields, device: str) -> dict[str, Kept]:
    """Return what is kept of a device and still goes before what its file holds."""
    found = {}
    for key, kept in saved(device, tells=True).keys.items():
        if key == MODEL_FILE and kept.value and not Path(kept.value).is_file():
            log.warning("%s was installed by a command and is gone; the file's goes on", kept.value)
        elif kept.instead_of == _digest(fields, key):
            found[key] = kept
    return found


def laid_over(fields: Fields, keys: dict[str, Kept]) -> Fields:
    """Return the fields of a file with what is kept in their place."""
    for key, kept in keys.items():
        section, _, name = key.partition(".")
        table, last = (fields.get(section, {}), name) if name else (fields, section)
        if not isinstance(table, dict):
            continue  # what the file has there is a fault of its own
        gone = {last, DESCRIPTION} if key == MODEL_FILE else {last}
        table = {each: value for each, value in table.items() if each not in gone}
        table |= {} if kept.value is None else {last: kept.value}
        fields = fields | {section: table} if name else table
    return fields


def note(device: str) -> str:
    """Return, in a sentence for people, what commands have saved of a device; empty for nothing."""
    kept = saved(device)
    known = [f"{key} = {json.dumps(each.value)[:60]}" for key, each in kept.keys.items()]
    known += [f"camera {name} is paused" for name in kept.paused]
    known += [f"a model was taken back: {reason}" for reason in kept.refused.values()]
    return (
        f"commands have saved {', '.join(known)} in {place(device)}; delete it to undo them"
        if known
        else ""
    )


def _digest(fields: Fields, key: str) -> str:
    """Return a digest of what a file has in the place of a key."""
    section, _, name = key.partition(".")
    value = fields.get(section)
    if name:
        table = value if isinstance(value, dict) else {}
        value = [table.get(each) for each in (name, *([DESCRIPTION] * (key == MODEL_FILE)))]
    text = json.dumps(value, default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
