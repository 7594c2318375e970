"""Describe a foreign model: what was recognised in it, and what it does not say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from converter.graph.writing import write
from converter.importers.asking import ask_family, refuse_unused
from converter.importers.facts import (
    ASK,
    FORMATS,
    check_family,
    class_count,
    missing_facts,
    short,
    stated,
)
from converter.importers.heads.families import FAMILY_OF_HEAD
from converter.importing import import_draft, is_ours, recognise
from edge.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from converter.choice import Choice


def describe(
    path: Path, *, family: str | None, choice: Choice, labels: tuple[str, ...] | None
) -> dict[str, Any]:
    """Return what the importer finds in a foreign model, ready for JSON.

    Raises:
        ConfigError: No family is said, nor told by the file.
        ModelError: The model cannot be converted; the message says why.
    """
    if is_ours(path):
        raise ConfigError(
            f"{path}: expected a foreign model, found one of ours; leave out --family"
        )
    form = recognise(path)
    refuse_unused(path, form, choice)
    family = ask_family(path, form, said=family)
    draft = import_draft(path, family=family, choice=choice)
    check_family(draft, path, family=family)
    missing = missing_facts(draft, choice.input, labels=labels)
    return {
        "format": FORMATS[form],
        "family": FAMILY_OF_HEAD[draft.head.kind],
        "input": list(draft.size_wh),
        "preprocessing": {
            name: value for name, value in stated(draft).items() if value is not None
        },
        "head": draft.head.plain(),
        "outputs": list(draft.graph.outputs),
        "classes": class_count(draft),
        "anchors": None if draft.anchors is None else len(draft.anchors),
        "bytes": len(write(draft.graph)),
        "changes": draft.changes,
        "warnings": list(draft.warnings),
        "missing": [ASK[name] for name in missing],
    }


def as_text(found: dict[str, Any]) -> str:
    """Return the description for a terminal."""
    (width, height), classes = found["input"], found["classes"]
    said = ", ".join(f"{name} {short(value)}" for name, value in found["preprocessing"].items())
    lines = [
        f"format      {found['format']}, read as {found['family']}",
        f"input       {width}x{height}; the file says: {said or 'nothing of its preprocessing'}",
        f"head        {found['head']['kind']}, outputs {', '.join(found['outputs'])}",
        f"classes     {'the outputs do not say' if classes is None else classes}",
        f"changes     {found['changes'] or 'none'}",
        *(f"warning     {sentence}" for sentence in found["warnings"]),
    ]
    asked = found["missing"] or ["nothing: edge-convert run can convert it"]
    return "\n".join([*lines, *(f"missing     {text}" for text in asked)])
