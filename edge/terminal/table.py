"""Plain text tables for the terminal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

NUMBER = re.compile(r"[-+]?\d+(\.\d+)?|-")


def render(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table with a rule under its headers; numbers are set to the right.

    Args:
        headers: One for each column, units included.
        rows: As many cells each; shown as `str` makes them. A lone `-` stands for no number.
    """
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
    numeric = [
        bool(rows) and all(NUMBER.fullmatch(row[column]) for row in cells)
        for column in range(len(headers))
    ]

    def line(texts: Sequence[str]) -> str:
        padded = (
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(texts, widths, numeric, strict=True)
        )
        return "  ".join(padded).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(headers), rule, *map(line, cells)])
