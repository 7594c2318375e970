"""A configuration's faults as sentences: where, what, and what to write instead."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from edge.config.sections import SECTIONS
from edge.errors import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_core import ErrorDetails


UNIT_SUFFIXES = ("_s", "_ms", "_hz", "_px", "_ratio", "_mib", "_wh", "_messages")
# What pydantic says of these helps nobody who writes TOML.
PLAIN_TEXTS = {
    "model_type": "expected a table of keys",
    "string_pattern_mismatch": "expected 1 to 64 of the characters A-Z a-z 0-9 _ -",
}


def sentence(fault: ErrorDetails, fields: Mapping[str, Any]) -> str:
    """Return one fault of pydantic's as ``[section] key: what was expected, found …``.

    Args:
        fault: One row of `ValidationError.errors()`.
        fields: What was read: section to key to value.
    """
    text = fault["msg"].removeprefix("Value error, ")
    if not fault["loc"]:
        return text
    section, *keys = [str(part) for part in fault["loc"]]
    label = f"[{section}]"
    if section == "camera" and keys:
        label = camera_label(int(keys.pop(0)), _camera_names(fields))
    key = ".".join(keys)
    if fault["type"] == "extra_forbidden":
        if not key:
            return _unknown_section(section)
        return _unknown_key(label, key, fault["input"], known=SECTIONS[section].known_keys())
    if fault["type"] == "missing":
        return f"{label} {key} is needed and missing"
    text = PLAIN_TEXTS.get(fault["type"], text[:1].lower() + text[1:])
    # Our own validators say what they found; and what they keep to themselves is a secret.
    found = "" if fault["type"] == "value_error" else _found(key, fault["input"])
    return f"{label}{' ' if key else ''}{key}: {text}{found}"


def camera_label(index: int, names: Sequence[str]) -> str:
    """Return where a camera stands in the configuration: `[camera]`, or `[[camera]] 2 (door)`.

    Args:
        index: Among the cameras, from 0.
        names: Of all of them; empty where one has none.
    """
    if len(names) <= 1:
        return "[camera]"
    return f"[[camera]] {index + 1}{f' ({names[index]})' if names[index] else ''}"


def _camera_names(fields: Mapping[str, Any]) -> list[str]:
    cameras = fields.get("camera")
    return [
        str(camera.get("name", "")) if isinstance(camera, dict) else ""
        for camera in (cameras if isinstance(cameras, (list, tuple)) else [cameras])
    ]


def _found(key: str, value: object) -> str:
    """Return what was found, as far as it cannot be a secret."""
    return "" if "password" in key else f", found {shown(repr(value))}"


def _unknown_section(section: str) -> str:
    guess = difflib.get_close_matches(section, SECTIONS, n=1)
    hint = f"did you mean [{guess[0]}]?" if guess else f"the sections are {', '.join(SECTIONS)}"
    return f"unknown section [{section}]; {hint}"


def _unknown_key(label: str, key: str, value: object, *, known: list[str]) -> str:
    for suffix in UNIT_SUFFIXES:
        if key + suffix in known:
            # A number is no secret; of anything else nothing is repeated.
            found = value if isinstance(value, (int, float)) else "…"
            return f"{label} '{key} = {found}' has no unit; write '{key}{suffix} = {found}'"
    guess = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {guess[0]!r}?" if guess else f"the keys are {', '.join(known)}"
    return f"{label} unknown key {key!r}; {hint}"
