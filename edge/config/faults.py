"""A configuration's faults as sentences: where, what, and what to write instead."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from edge.errors import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

UNIT_SUFFIXES = ("_s", "_ms", "_hz", "_px", "_ratio", "_mib", "_wh", "_messages")
# What pydantic says of these helps nobody who writes TOML.
PLAIN_TEXTS = {
    "model_type": "expected a table of keys",
    "string_pattern_mismatch": "expected 1 to 64 of the characters A-Z a-z 0-9 _ -",
}


def sentence(fault: ErrorDetails, sections: Mapping[str, type[BaseModel]]) -> str:
    """Return one fault of pydantic's as ``[section] key: what was expected, found …``.

    Args:
        fault: One row of `ValidationError.errors()`.
        sections: Every section's name and model.
    """
    text = fault["msg"].removeprefix("Value error, ")
    if not fault["loc"]:
        return text
    section, *keys = [str(part) for part in fault["loc"]]
    label = f"[{section}]"
    if section == "camera" and keys:
        number = int(keys.pop(0)) + 1
        label = label if number == 1 else f"[{label}] {number}"
    key = ".".join(keys)
    if fault["type"] == "extra_forbidden":
        if not key:
            return _unknown_section(section, sections)
        known = list(sections[section].model_fields)
        return _unknown_key(label, key, fault["input"], known=known)
    if fault["type"] == "missing":
        return f"{label} {key} is needed and missing"
    text = PLAIN_TEXTS.get(fault["type"], text[:1].lower() + text[1:])
    # Our own validators say what they found; and what they keep to themselves is a secret.
    found = "" if fault["type"] == "value_error" else f", found {shown(repr(fault['input']))}"
    place = f"{label} {key}" if key else label
    return f"{place}: {text}{found}"


def _unknown_section(section: str, sections: Iterable[str]) -> str:
    guess = difflib.get_close_matches(section, sections, n=1)
    hint = f"did you mean [{guess[0]}]?" if guess else f"the sections are {', '.join(sections)}"
    return f"unknown section [{section}]; {hint}"


def _unknown_key(label: str, key: str, value: object, *, known: list[str]) -> str:
    # A number is no secret; of anything else nothing is repeated.
    text = value if isinstance(value, (int, float)) else "…"
    for suffix in UNIT_SUFFIXES:
        if key + suffix in known:
            return f"{label} '{key} = {text}' has no unit; write '{key}{suffix} = {text}'"
    guess = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {guess[0]!r}?" if guess else f"the keys are {', '.join(known)}"
    return f"{label} unknown key {key!r}; {hint}"
