"""From a TOML file and the command line's overrides to a checked configuration.

Checking touches no network and opens no device.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from edge.config.camera import Camera, read_camera
from edge.config.paths import read_anchored
from edge.config.sections import Config, host_name
from edge.config.toml import table_label
from edge.errors import ConfigError
from edge.record import Unsound, read

if TYPE_CHECKING:
    from pathlib import Path

    from edge.faults import Fault

Fields = dict[str, Any]
# Sections of which there may be several; one alone may be written as a plain table.
TABLES = ("sink", "zone", "line", "mask", "filter")

log = logging.getLogger("edge")


def load(path: Path | None, overrides: dict[str, Fields]) -> Config:
    """Read a configuration and lay the command line's values over it.

    Paths in the file are relative to the file, those of the overrides to the working folder.

    Args:
        path: A TOML file, or `None` for the defaults.
        overrides: Section to key to value.

    Raises:
        ConfigError: All faults at once, one a line, each with its path.
    """
    fields = with_saved(path) if path else {}
    for section, values in overrides.items():
        target = fields.setdefault(section, {})
        if isinstance(target, list) and values:
            raise ConfigError(
                f"{path} has {len(target)} cameras of its own; leave out "
                f"{', '.join(f'--{key}' for key in values)}, or give no configuration"
            )
        if isinstance(target, dict):
            target.update(values)
    return parse(fields, where=f"{path}: " if path else "")


def with_saved(path: Path) -> Fields:
    """Read a file, and lay over it what commands have saved, each as far as it fits.

    Raises:
        ConfigError: It cannot be read, or is not TOML.
    """
    from edge.config import overlay  # noqa: PLC0415 - a run without a file needs none of it

    fields = read_anchored(path)
    device = fields.get("device")
    name = str((device.get("name") if isinstance(device, dict) else None) or host_name())
    kept = overlay.holding(fields, name)
    all_over = overlay.laid_over(fields, kept)
    if not (kept and _checked(all_over)[1]) or _checked(fields)[1]:
        return all_over
    for key, each in kept.items():
        wanted = overlay.laid_over(fields, {key: each})
        if faults := _checked(wanted)[1]:
            log.warning(
                "%s, which a command has saved in %s, does not fit %s and is left out: %s",
                *(key, overlay.place(name), path, faults[0]),
            )
        else:
            fields = wanted
    return fields


def parse(fields: Fields, *, where: str = "") -> Config:
    """Check a configuration that was read already.

    Args:
        fields: Section to key to value.
        where: Stands before each fault.

    Raises:
        ConfigError: All faults at once, one a line, each with its path.
    """
    config, faults = _checked(fields)
    if faults:
        raise ConfigError("\n".join(where + _sentence(fault, fields) for fault in faults))
    return config


def load_sound_part(path: Path) -> Config:
    """Read what is right of a faulty configuration; each key that is not keeps its default."""
    try:
        fields = read_anchored(path)
    except ConfigError:
        return Config()
    fields = _as_lists(fields, ("camera", *TABLES))
    while faults := _checked(fields)[1]:
        if not _dropped_inplace(fields, faults[0].place):
            return Config()
    return _checked(fields)[0]


def _checked(fields: Fields) -> tuple[Config, list[Fault]]:
    """Return the configuration, the default one beside all that is wrong with the fields."""
    cameras: object = fields.get("camera", [{}])
    faults: list[Fault] = []
    if isinstance(cameras, (dict, list)):
        cameras, faults = _cameras([cameras] if isinstance(cameras, dict) else cameras)
    try:
        return read(Config, _as_lists(fields, TABLES) | {"camera": cameras}), faults
    except Unsound as error:
        return Config(), faults + error.faults


def _as_lists(fields: Fields, sections: tuple[str, ...]) -> Fields:
    single = {key: [fields[key]] for key in sections if isinstance(fields.get(key), dict)}
    return fields | single


def _cameras(tables: list[object]) -> tuple[list[Camera], list[Fault]]:
    cameras: list[Camera] = []
    faults: list[Fault] = []
    for number, table in enumerate(tables):
        try:
            cameras.append(read_camera(table))
        except Unsound as error:  # noqa: PERF203 - each has its own
            faults += [fault.within("camera", number, *fault.place) for fault in error.faults]
    return cameras or ([Camera()] if faults else []), faults


def _dropped_inplace(fields: Fields, place: tuple[int | str, ...]) -> bool:
    """Take out the key that a fault is about, or its section; return whether something was there.

    The place is empty where sections contradict each other.
    """
    section, *keys = place or ("output",)
    values = fields.get(str(section))
    if isinstance(values, list) and keys:
        values, keys = values[int(keys[0])], keys[1:]
    elif isinstance(values, list) and len(values) > 1:
        # Cameras that contradict each other: the first ones stay.
        values.pop()
        return True
    if isinstance(values, dict) and keys and keys[0] in values:
        del values[keys[0]]
        return True
    return fields.pop(str(section), None) is not None


def _sentence(fault: Fault, fields: Fields) -> str:
    """Return a fault as ``[section] key: what was expected, found …``."""
    if len(fault.place) < 2 or fault.place[0] not in ("camera", *TABLES):  # noqa: PLR2004
        return fault.sentence()
    section, index, *keys = fault.place
    label = table_label(section, index, _names(fields, section))
    return fault.within(section, *keys).sentence(label)


def _names(fields: Fields, section: str) -> list[str]:
    """Return what each table of a section calls itself; of a sink, its kind."""
    tables, key = fields.get(section), "kind" if section == "sink" else "name"
    return [
        str(table.get(key, "")) if isinstance(table, dict) else ""
        for table in (tables if isinstance(tables, (list, tuple)) else [tables])
    ]
