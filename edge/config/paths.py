"""Paths of a configuration: from where they count, what looks like them, and the state folder."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Any

from edge.capture.location import anchored
from edge.config import toml

PATH_KEYS = (
    ("model", "file"), ("model", "description"), ("mqtt", "password_file"), ("mqtt", "ca_file"),
    ("camera", "password_file"), ("sink", "path"), ("sink", "header_file"), ("sink", "ca_file"),
    ("harvest", "folder"),
    ("web", "token_file"),
)  # fmt: skip


def read_anchored(path: Path) -> dict[str, Any]:
    """Return what a configuration's file holds, its paths absolute.

    Raises:
        ConfigError: It cannot be read, or is not TOML.
    """
    fields = toml.read(path)
    anchor_inplace(fields, path.resolve().parent)
    return fields


def anchor_inplace(fields: dict[str, Any], folder: Path) -> None:
    """Let each path in a configuration count from the folder, and `~` from the user's home.

    Args:
        fields: Section to key to value, as read.
        folder: Of the configuration file, absolute.
    """
    for section, key in PATH_KEYS:
        for table in _tables(fields, section):
            if isinstance(table.get(key), str):
                table[key] = folder / os.path.expanduser(table[key])  # noqa: PTH111 - never raises
    for camera in _tables(fields, "camera"):
        if isinstance(camera.get("source"), str):
            camera["source"] = anchored(camera["source"], folder)


def _tables(fields: dict[str, Any], section: str) -> list[dict[str, Any]]:
    found = fields.get(section)
    return [
        each for each in (found if isinstance(found, list) else [found]) if isinstance(each, dict)
    ]


def lookalike(path: Path) -> str:
    """Return, of a path that is not there, a sentence on a name that looks the same; or nothing.

    An accented letter has two spellings in Unicode, macOS and Linux differ in which they write, and
    a no-break space looks as any other.
    """
    if "\0" in str(path):
        return ""
    missing = next((each for each in (*reversed(path.parents), path) if not each.exists()), None)
    if missing is None:
        return ""
    try:
        names = os.listdir(missing.parent)  # noqa: PTH208 - names are enough
    except OSError:
        return ""
    same = [name for name in names if _plain(name) == _plain(missing.name)]
    if not same:
        return ""
    return (
        f"; {missing.parent} has {same[0]!r}, spelled {same[0]!a} and not "
        f"{missing.name!a}: copy its name from there"
    )


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().casefold()


def state_folder() -> Path | None:
    """Return the folder, which need not exist; `None` where the environment names none.

    systemd's ``StateDirectory=`` comes first; else it is `edge-vision` in the user's own.
    Source: systemd.exec(5); XDG Base Directory Specification 0.8, which has relative paths ignored.
    """
    # Several folders of a unit are separated by colons.
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    named = Path(os.environ.get("XDG_STATE_HOME", ""))
    if named.is_absolute():
        return named / "edge-vision"
    try:
        return Path.home() / ".local" / "state" / "edge-vision"
    except RuntimeError:
        return None
