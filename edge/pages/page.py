"""One page of HTML that needs nothing but itself: its style, and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

STYLE = """
:root { color-scheme: light dark; --line: #8884; --ink: #2563eb; --bad: #dc2626; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin-top: 2rem; }
p.sub { opacity: .75; margin-top: .25rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .75rem .2rem 0; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
th { font-weight: 600; }
.wide { overflow-x: auto; }
.matrix td { padding: .2rem .4rem; } .matrix th { font-weight: 400; }
table.bars td:last-child { text-align: left; } figure { margin: 0; }
.bar { display: inline-block; height: .6em; background: var(--ink); opacity: .7; }
.plots { display: flex; flex-wrap: wrap; gap: 1rem; }
svg text { fill: currentColor; font: 11px system-ui, sans-serif; }
"""


def document(title: str, body: Iterable[str]) -> str:
    """Return a whole page.

    Args:
        title: Escaped already.
        body: Lines of HTML.
    """
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    view = '<meta name="viewport" content="width=device-width">'
    return f'<!doctype html><html lang="en"><head>{view}{head}</head>\n' + "\n".join(body) + "\n"


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, kind: str = "") -> str:
    """Return a table of cells that are HTML already.

    Args:
        headers: One a column.
        rows: As many cells each.
        kind: Class of the table in the style.
    """
    head = "".join(f"<th>{cell}" for cell in headers)
    body = "".join("<tr>" + "".join(f"<td>{cell}" for cell in row) for row in rows)
    return f"<div class=wide><table class='{kind}'><tr>{head}{body}</table></div>"
