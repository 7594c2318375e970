"""A TOML file as people save it: its text, or which character of it is in the way."""

from __future__ import annotations

import codecs
import re
import sys
import unicodedata
from typing import TYPE_CHECKING, Any

from edge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

loads, DecodeError = tomllib.loads, tomllib.TOMLDecodeError
# What word processors, phones and web pages write: each with what TOML wants in its place.
INSTEAD = {
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\uff02", 'type "'),
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u00b4\uff07", "type '"),
    **dict.fromkeys("\u00a0\u2007\u202f\u3000", "type a space"),
    **dict.fromkeys("\u00ad\u200b\u200e\u200f\u2060\ufeff", "delete it"),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "type -"),
    "\uff1d": "type =",
}
PLACE = re.compile(r"\(at line (\d+)")


def read(path: Path) -> dict[str, Any]:
    """Return what a TOML file holds: UTF-8 with or without a byte order mark, or UTF-16 with one.

    Raises:
        ConfigError: It cannot be read, or is not TOML; with the line and the character.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; give the path of a TOML file") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; check the path") from error
    text = _decoded(path, data)
    try:
        return loads(text)
    except (DecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: expected TOML: {error}{_hint(text, str(error))}") from error


def _decoded(path: Path, data: bytes) -> str:
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{path}: expected UTF-8, found the byte 0x{data[error.start]:02x} in line {line}; "
            "save the file as UTF-8"
        ) from error


def _hint(text: str, reason: str) -> str:
    """Return which character of the faulty line is not what it looks like; nothing without one."""
    found = PLACE.search(reason)
    lines = text.replace("\r\n", "\n").split("\n")
    line = lines[int(found[1]) - 1] if found else lines[-1]
    odd = next((letter for letter in line if letter in INSTEAD), None)
    if "\0" in text:
        return "; it seems to be UTF-16: save the file as UTF-8"
    if odd is None:
        return ""
    name = unicodedata.name(odd, "no name").lower()
    return f"; this line holds {odd!r}, U+{ord(odd):04X} {name}: {INSTEAD[odd]} instead"


def table_label(section: str, index: int, names: Sequence[str]) -> str:
    """Return where a table stands: `[camera]`, or of index 1 of several `[[camera]] 2 (door)`."""
    if len(names) <= 1:
        return f"[{section}]"
    return f"[[{section}]] {index + 1}{f' ({names[index]})' if names[index] else ''}"
