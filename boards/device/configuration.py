"""The text of a configuration, with other texts as the values of its keys; its comments stay.

Python 3.10 reads no TOML by itself, and nothing writes it: lines are changed, and whoever can read
the whole does so afterwards.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def with_keys(text: str, table: str, values: Mapping[str, str]) -> str:
    """Return a TOML whose table has these keys; one whose value is empty goes."""
    lines, missing, at = list[str](), dict(values), -1
    is_inside = False
    for line in text.splitlines():
        key = line.partition("=")[0].strip()
        if re.match(r"\s*\[", line):
            is_inside = bool(re.match(rf"\s*\[\s*{table}\s*\]", line))
            at = len(lines) + 1 if is_inside else at
        elif is_inside and key in values:
            if value := missing.pop(key, ""):
                lines.append(_line(key, value))
            continue
        lines.append(line)
    new = [_line(key, value) for key, value in missing.items() if value]
    if new and at < 0:
        lines += ["", f"[{table}]", *new]
    elif new:
        lines[at:at] = new
    return "\n".join(lines) + "\n"


def names_model(text: str) -> bool:
    """Return whether a configuration names a model, or what describes one."""
    return with_keys(text, "model", {"file": "", "description": ""}) != with_keys(text, "model", {})


def _line(key: str, value: str) -> str:
    return f"{key} = {json.dumps(value, ensure_ascii=False)}"
