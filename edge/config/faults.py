"""A configuration's faults as sentences: where, what, and what to write instead."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic_core import ErrorDetails

    from edge.config.section import Section

UNIT_SUFFIXES = ("_s", "_ms", "_hz", "_px", "_ratio", "_mib", "_wh", "_messages")
# What pydantic says of these helps nobody who writes TOML.
PLAIN_TEXTS = {
    "model_type": "expected a table of keys",
    "string_pattern_mismatch": "expected 1 to 64 of the characters A-Z a-z 0-9 _ -",
}


def sentence(fault: ErrorDetails, sections: Mapping[str, type[Section]]) -> str:
    """Return one fault of pydantic's as ``[section] key: what was expected, found …``.

    Args:
        fault: One row of `ValidationError.errors()`.
        sections: Every section's name and model.
    """
    text = fault["msg"].removeprefix("Value error, ")
    if not fault["loc"]:
        return text
    section, *keys = [str(part) for part in fault["loc"]]
    # The options of a source stand in its section like any other key.
    if "options" in keys and (keys[1:] or fault["type"] != "extra_forbidden"):
        keys.remove("options")
    key = ".".join(keys)
    if fault["type"] == "extra_forbidden":
        if not key:
            return _unknown_section(section, sections)
        known = sections[section].known_keys()
        return _unknown_key(section, key, fault["input"], known=known)
    if fault["type"] == "missing":
        return f"[{section}] {key} is needed and missing"
    text = PLAIN_TEXTS.get(fault["type"], text[:1].lower() + text[1:])
    # Our own validators say what they found; and what they keep to themselves is a secret.
    found = "" if fault["type"] == "value_error" else f", found {fault['input']!r}"
    place = f"[{section}] {key}" if key else f"[{section}]"
    return f"{place}: {text}{found}"


def _unknown_section(section: str, sections: Iterable[str]) -> str:
    guess = difflib.get_close_matches(section, sections, n=1)
    hint = f"did you mean [{guess[0]}]?" if guess else f"the sections are {', '.join(sections)}"
    return f"unknown section [{section}]; {hint}"


def _unknown_key(section: str, key: str, value: object, *, known: list[str]) -> str:
    for suffix in UNIT_SUFFIXES:
        if key + suffix in known:
            return f"[{section}] '{key} = {value}' has no unit; write '{key}{suffix} = {value}'"
    guess = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {guess[0]!r}?" if guess else f"the keys are {', '.join(known)}"
    return f"[{section}] unknown key {key!r}; {hint}"
