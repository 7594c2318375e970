"""A description as the TOML that a person would write, with a question where nothing tells."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edge.model.declared import Declared, Reading
    from edge.model.description import Description

FIRST = "model"  # of the tables; the others have a blank line before them
UNKNOWN = '"?"'
# TOML has no null: a key that is not left out, but has no value.
NONE, NONE_KEYS = "none", ("background",)


@dataclass(slots=True)
class Findings:
    """What is known of a description so far.

    Attributes:
        name: Of the model.
        labels: Of the classes.
        input: Fields of an `InputTransform`; `None` is unknown.
        unknown: Keys that nothing tells, such as `input.color`, with what to choose among.
        why: What in the file says what it says, one clause each.
    """

    name: str
    labels: tuple[str, ...] = ()
    input: dict[str, Any] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    why: list[str] = field(default_factory=list)


def draft(found: Findings, model: Declared, reading: Reading | None) -> str:
    """Return a TOML of what is known; keys that are not hold `"?"`, which no reader takes.

    Args:
        found: What is known.
        model: What its outputs are called.
        reading: What they may mean.
    """
    unknown = found.unknown
    outputs: Mapping[str, Any] = reading.outputs if reading else {}
    rest = [one for one in model.outputs if one.name not in outputs.values()]
    lines = [
        *_table("model", {"name": found.name, "labels": list(found.labels)}, unknown),
        *_table("input", found.input, unknown),
        *_table("outputs", outputs, unknown),
        *(f"# role = {_value(one.name)}  {one.shape} {one.tensor.dtype}" for one in rest),
        *_table("head", reading.head.plain() if reading else {"kind": None}, unknown),
    ]
    return "\n".join(lines) + "\n"


def of(described: Description) -> str:
    """Return a description as a TOML; the anchors of an SSD stand in it."""
    head = described.head.plain()
    if described.anchors is not None:
        head["anchors"] = described.anchors.astype(float).tolist()
    thresholds = {"score_threshold": described.score_threshold}
    thresholds["iou_threshold"] = described.iou_threshold
    model = {"name": described.name, "labels": list(described.labels), **thresholds}
    tables = {"model": model, "input": described.input.plain(), "outputs": described.outputs}
    lines = (line for name, keys in tables.items() for line in _table(name, keys, {}))
    return "\n".join([*lines, *_table("head", head, {})]) + "\n"


def _table(name: str, keys: Mapping[str, Any], unknown: Mapping[str, str]) -> Iterator[str]:
    yield f"[{name}]" if name == FIRST else f"\n[{name}]"
    grids, tables = {}, {}
    for key in dict.fromkeys([*keys, *_keys_of(name, unknown)]):
        value, choice = keys.get(key), unknown.get(f"{name}.{key}")
        if isinstance(value, list) and value and isinstance(value[0], dict):
            grids[key] = value
        elif isinstance(value, dict):
            tables[key] = value
        elif choice:
            yield f"{_name(key)} = {UNKNOWN}  # {choice}"
        elif value is not None or key in NONE_KEYS:
            yield f"{_name(key)} = {_value(NONE if value is None else value)}"
    for key, rows in grids.items():
        for row in rows:
            yield f"\n[[{name}.{key}]]"
            yield from (f"{_name(k)} = {_value(v)}" for k, v in row.items() if v is not None)
    for key, inner in tables.items():
        yield from _table(f"{name}.{key}", inner, unknown)


def _keys_of(name: str, unknown: Mapping[str, str]) -> list[str]:
    return [key for table, _, key in (each.rpartition(".") for each in unknown) if table == name]


def _name(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else _value(key)


def _value(value: Any) -> str:  # noqa: ANN401 - of JSON
    """Return JSON's spelling, which is TOML's for texts, numbers, booleans and lists of them."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
