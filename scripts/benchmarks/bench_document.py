"""Tables of figures in Markdown, and the document that they are written into between markers."""

from __future__ import annotations

import datetime as dt
import os
import platform
import shlex
import sys
from typing import TYPE_CHECKING

from edge.benchmark import host
from edge.errors import EdgeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

OWN_LOAD = 1  # what a benchmark keeps busy beyond a core, by itself


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table, its columns aligned so that it can be read as it is."""
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in (headers, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def heading(arguments: Sequence[str]) -> str:
    """Return the command, the date and the machine that figures came from."""
    command = shlex.join(["scripts/bench", *arguments])
    today = dt.datetime.now(tz=dt.timezone.utc).date()
    cores, load = os.cpu_count() or 1, os.getloadavg()[0]
    busy = (
        " **The machine was busy with other work: of these figures only CPU, memory and what is"
        " counted are firm.**"
        if load > cores + OWN_LOAD
        else ""
    )
    return (
        f"`{command}`, {today:%Y-%m-%d}, on {host.describe().cpu}, {cores} cores, "
        f"{platform.system()}, Python {sys.version.split()[0]}, "
        f"load average {load:.1f} at the end.{busy}"
    )


def write_section(path: Path, name: str, text: str) -> None:
    """Replace what stands between the markers of one name.

    Raises:
        EdgeError: The file cannot be read, or has not both markers.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    try:
        old = path.read_text(encoding="utf-8")
    except OSError as error:
        raise EdgeError(
            f"{path}: cannot be read: {error.strerror}; create it with two lines: {begin} {end}"
        ) from error
    before, first, rest = old.partition(begin)
    _, last, after = rest.partition(end)
    if not first or not last:
        raise EdgeError(f"{path}: expected the lines {begin} and {end}, found not both; add them")
    path.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}", encoding="utf-8")
