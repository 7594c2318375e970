"""The text of a Darknet `.cfg`: sections of `key = value` lines, every value checked as it is read.

Source: `read_cfg` and `option_find` of Darknet (src/parser.c, src/option_list.c): white space means
nothing, a line that begins with `#` or `;` is a comment.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

# The longest cfg known (csresnext50-panet-spp) has 24 KiB and 137 sections.
MAX_CFG_BYTES = 2**20
MAX_SECTIONS = 1000
# Of a list of layers, anchors or masks.
MAX_LIST = 256
# Of a piece of the file in a message.
SHOWN_CHARACTERS = 40
WHOLE_NUMBER = re.compile(r"[+-]?\d{1,12}", re.ASCII)
DECIMAL_NUMBER = re.compile(r"[+-]?(\d{1,20}\.?\d{0,20}|\.\d{1,20})([eE][+-]?\d{1,3})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Section:
    """One `[section]` of a cfg.

    Attributes:
        kind: The name in the brackets.
        where: File, line and name, for messages.
        options: Key to value, without white space and comments.
    """

    kind: str
    where: str
    options: dict[str, str] = field(default_factory=dict)

    def text(self, key: str, default: str) -> str:
        """Return a value as it stands."""
        return self.options.get(key, default)

    def integer(self, key: str, default: int, *, low: int, high: int) -> int:
        """Return a whole number in [low, high]; the default is taken as it is."""
        if key not in self.options:
            return default
        return self._integer(key, self.options[key], low=low, high=high)

    def number(self, key: str, default: float, *, low: float, high: float) -> float:
        """Return a number in [low, high]; the default is taken as it is."""
        if key not in self.options:
            return default
        return self._number(key, self.options[key], low=low, high=high)

    def integers(self, key: str, *, low: int, high: int) -> tuple[int, ...]:
        """Return a list of whole numbers, at least one."""
        values = self._list(key, "whole numbers")
        return tuple(self._integer(key, value, low=low, high=high) for value in values)

    def numbers(self, key: str, *, low: float, high: float) -> tuple[float, ...]:
        """Return a list of numbers, at least one."""
        values = self._list(key, "numbers")
        return tuple(self._number(key, value, low=low, high=high) for value in values)

    def fault(self, expected: str, found: str) -> ModelError:
        """Return the error for something in this section."""
        return ModelError(f"{self.where}: expected {expected}, found {found}; correct the cfg")

    def _integer(self, key: str, value: str, *, low: int, high: int) -> int:
        if WHOLE_NUMBER.fullmatch(value) and low <= int(value) <= high:
            return int(value)
        raise self.fault(f"{key!r} to be a whole number from {low} to {high}", shown(value))

    def _number(self, key: str, value: str, *, low: float, high: float) -> float:
        if DECIMAL_NUMBER.fullmatch(value):
            number = float(value)
            if math.isfinite(number) and low <= number <= high:
                return number
        raise self.fault(f"{key!r} to be a number from {low:g} to {high:g}", shown(value))

    def _list(self, key: str, what: str) -> list[str]:
        value = self.options.get(key)
        if value is None:
            raise self.fault(f"{key!r} with {what}", "none")
        # A comma at the end is common, and Darknet stops there.
        values = value.removesuffix(",").split(",")
        if len(values) > MAX_LIST:
            raise self.fault(f"at most {MAX_LIST} {what} in {key!r}", str(len(values)))
        return values


def read_sections(path: Path) -> list[Section]:
    """Return the sections of a cfg, the first one `net`.

    Raises:
        ModelError: The file is missing, too large, or no cfg.
    """
    sections: list[Section] = []
    for number, line in enumerate(_read_text(path).splitlines(), start=1):
        content = "".join(line.split())
        if not content or content[0] in "#;\0":
            continue
        content = content.partition("#")[0]
        if content.startswith("["):
            sections.append(_section(path, number, content))
        elif sections:
            _add_option(sections[-1], number, content)
        else:
            raise ModelError(
                f"{path}: expected a Darknet cfg that begins with [net], found {shown(content)} "
                f"in line {number}; give the .cfg of the model"
            )
        if len(sections) > MAX_SECTIONS:
            raise ModelError(f"{path}: expected at most {MAX_SECTIONS} sections, found more")
    if not sections or sections[0].kind not in ("net", "network"):
        found = f"[{sections[0].kind}]" if sections else "no section"
        raise ModelError(
            f"{path}: expected a Darknet cfg that begins with [net], found {found}; "
            "give the .cfg of the model"
        )
    return sections


def shown(text: str) -> str:
    """Return a piece of the file for a message, quoted and not too long."""
    cut = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
    return repr(cut)


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_CFG_BYTES:
            raise ModelError(
                f"{path}: expected a Darknet cfg of at most {MAX_CFG_BYTES} bytes, found "
                f"{path.stat().st_size}; give the .cfg of the model"
            )
        # Comments may be in any encoding; Darknet, too, reads bytes.
        return path.read_text("latin-1")
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such file; give the .cfg of a Darknet model") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {os.strerror(error.errno or 0)}") from error


def _section(path: Path, number: int, content: str) -> Section:
    if not re.fullmatch(r"\[\w+\]", content, re.ASCII):
        raise ModelError(
            f"{path} line {number}: expected a section such as [maxpool], found {shown(content)}; "
            "correct the cfg"
        )
    kind = content[1:-1]
    if len(kind) > SHOWN_CHARACTERS:
        raise ModelError(
            f"{path} line {number}: expected a section such as [maxpool], found {shown(content)}; "
            "correct the cfg"
        )
    return Section(kind, f"{path} line {number} [{kind}]")


def _add_option(section: Section, number: int, content: str) -> None:
    key, separator, value = content.partition("=")
    if not key or not separator or not value:
        raise section.fault(f"'key = value' in line {number}", shown(content))
    # Darknet takes the first, its readers elsewhere the last.
    if section.options.setdefault(key, value) != value:
        raise section.fault(f"{shown(key)} once", f"another value in line {number}")
