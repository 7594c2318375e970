"""The text of a configuration, with other paths in it; its comments stay.

Python 3.10 reads no TOML by itself, and nothing writes it: lines are changed, and the new
environment's own `edge check` then reads the whole.
"""

from __future__ import annotations

import json
import re

TABLE = re.compile(r"^\s*\[")
MODEL = re.compile(r"^\s*\[\s*model\s*\]")
OF_MODEL = re.compile(r"^\s*(file|description)\s*=")


def with_model(text: str, file: str, description: str | None = None) -> str:
    """Return a configuration that names this model, and no other description than this."""
    named = [f"file = {json.dumps(file)}"]
    named += [f"description = {json.dumps(description)}"] if description else []
    lines, new, inside, done = text.splitlines(), [], False, False
    for line in lines:
        if TABLE.match(line):
            inside = bool(MODEL.match(line))
        if inside and OF_MODEL.match(line):
            continue
        new.append(line)
        if MODEL.match(line):
            new += named
            done = True
    return "\n".join(new if done else [*new, "", "[model]", *named]) + "\n"


def names_model(text: str) -> bool:
    """Return whether a configuration names a model."""
    inside = False
    for line in text.splitlines():
        inside = bool(MODEL.match(line)) if TABLE.match(line) else inside
        if inside and OF_MODEL.match(line):
            return True
    return False
