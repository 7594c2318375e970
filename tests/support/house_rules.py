"""What the linter cannot say, as functions that return faults: sizes, parameters, names, words."""

from __future__ import annotations

import ast
import re
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

MAX_FILE_LINES, HARD_FILE_LINES = 300, 400
HARD_BODY_LINES, P90_BODY_LINES, MEDIAN_BODY_LINES = 50, 25, 8
MAX_POSITIONAL = 3
# Called by others, who chose what they pass.
CALLBACKS = {"_on_connect": "paho-mqtt", "_on_disconnect": "paho-mqtt"}
BANNED_NAMES = {"util", "utils", "helper", "helpers", "common", "manager", "managers", "misc"}

# Spelled in halves, or this file would break its own rules.
WORDS = {
    re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b(?!\(#\d+\))"): "needs an issue: TO" "DO(#12)",
    re.compile(r"(?<![\w.~}])/(root|work|home)/\w"): "is a path of one machine",
    re.compile(
        r"\b(pypi\.or" r"g|pythonhosted\.or" r"g|npmjs\.(or" r"g|com)|piwheels\.or" r"g"
        r"|deb\.debian\.or" r"g)\b"
    ): "is a registry's host; name the package instead",
    re.compile(r"\bshared/(?!assets\b)\w"): "is outside the repository",
    re.compile(r"\b(AI|LLM|GPT)[- ](assist|gener|writ)\w+", re.IGNORECASE): "is not about the code",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Function:
    """One function's measures.

    Attributes:
        place: File and line.
        name: Its own.
        body_lines: From its first statement behind the docstring to its last line.
        positional: Parameters that can be given by position, `self` and `cls` excluded.
        boolean: The first of them that is a boolean; empty without.
    """

    place: str
    name: str
    body_lines: int
    positional: int
    boolean: str


def file_faults(path: Path, *, lines: int, long_files: dict[str, str], name: str) -> list[str]:
    """Return what is wrong with a file's name and length; `long_files` maps a name to a reason."""
    faults = []
    if path.stem in BANNED_NAMES:
        faults.append(f"{name}: name it by the noun it holds")
    if lines > HARD_FILE_LINES:
        faults.append(f"{name}: {lines} lines, never over {HARD_FILE_LINES}")
    elif lines > MAX_FILE_LINES and not long_files.get(name):
        faults.append(f"{name}: {lines} lines, over {MAX_FILE_LINES} without a listed reason")
    return faults


def functions(source: str, name: str) -> Iterator[Function]:
    """Measure every function of a module, nested ones too."""
    tree = ast.parse(source)
    methods = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for child in node.body
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) and not _is_static(child)
    }
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            positional = [*node.args.posonlyargs, *node.args.args][node in methods :]
            yield Function(
                place=f"{name}:{node.lineno}",
                name=node.name,
                body_lines=_body_lines(node),
                positional=len(positional),
                boolean=next(iter(_booleans(node, positional)), ""),
            )


def function_faults(found: Iterable[Function]) -> list[str]:
    """Return what is wrong with single functions."""
    faults = []
    for function in found:
        label = f"{function.place} {function.name}"
        if function.body_lines > HARD_BODY_LINES:
            faults.append(f"{label}: {function.body_lines} lines, never over {HARD_BODY_LINES}")
        if function.positional > MAX_POSITIONAL and function.name not in CALLBACKS:
            faults.append(f"{label}: {function.positional} positional parameters; use keywords")
        if function.boolean:
            faults.append(f"{label}: {function.boolean} is a positional boolean; use a keyword")
    return faults


def distribution_faults(found: Iterable[Function]) -> list[str]:
    """Return what is wrong with all functions together."""
    lines = sorted(function.body_lines for function in found)
    median, p90 = statistics.median(lines), lines[int(0.9 * len(lines))]
    faults = []
    if median > MEDIAN_BODY_LINES:
        faults.append(f"median function: {median} lines, over {MEDIAN_BODY_LINES}")
    if p90 > P90_BODY_LINES:
        faults.append(f"p90 function: {p90} lines, over {P90_BODY_LINES}")
    return faults


def word_faults(text: str, name: str) -> list[str]:
    """Return the words of a text that do not belong into the repository."""
    return [
        f"{name}:{number}: {found[0]!r} {reason}"
        for number, line in enumerate(text.splitlines(), 1)
        for pattern, reason in WORDS.items()
        for found in [pattern.search(line)]
        if found
    ]


def _is_static(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in node.decorator_list)


def _body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = node.body
    if ast.get_docstring(node, clean=False) is not None:
        body = body[1:]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def _booleans(
    node: ast.FunctionDef | ast.AsyncFunctionDef, positional: list[ast.arg]
) -> Iterator[str]:
    for argument in positional:
        if isinstance(argument.annotation, ast.Name) and argument.annotation.id == "bool":
            yield argument.arg
    defaults = node.args.defaults
    for argument, default in zip(positional[len(positional) - len(defaults) :], defaults):  # noqa: B905
        if isinstance(default, ast.Constant) and isinstance(default.value, bool):
            yield argument.arg
