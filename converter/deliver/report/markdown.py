"""The report as Markdown: the tables, and links to the pictures beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converter.deliver.report import tables, words
from converter.deliver.report.markup import escape_markdown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from converter.deliver.report.contents import Picture, Report
    from converter.deliver.report.tables import Table

LAYERS_FILE = "layers.svg"


def as_markdown(report: Report) -> str:
    """Return the report; text of strangers is escaped."""
    return "\n\n".join(_blocks(report)) + "\n"


def _blocks(report: Report) -> Iterator[str]:
    yield f"# {escape_markdown(report.subject.quantized.description.name)}"
    yield f"**{escape_markdown(words.verdict(report))}**"
    for sentence in words.sentences(report):
        yield f"> {escape_markdown(sentence)}"
    yield f"## {words.COST}"
    yield _table(tables.variants(report))
    yield escape_markdown(words.cost_note(report))
    if report.subject.bill.accuracy:
        yield f"### {words.ACCURACIES}"
        yield _table(tables.accuracies(report))
    yield f"### {words.HEADS}"
    yield _table(tables.heads(report))
    yield f"## {words.SIDE_BY_SIDE}"
    yield escape_markdown(words.side_by_side_note(report))
    yield from _pictures(report.side_by_side)
    yield from _layers(report)
    yield f"## {words.FEATURES}"
    yield escape_markdown(words.features_note(report))
    yield words.DEAD_NOTE
    dead = tables.dead_channels(report)
    if dead.rows:
        yield _table(dead)
    yield from _drawn_layers(report)
    if report.subject.attempts:
        yield f"## {words.TRIED}"
        yield _table(tables.attempts(report))
    yield f"## {words.ORIGIN}"
    yield _table(tables.origin(report))


def _layers(report: Report) -> Iterator[str]:
    if report.layers:
        yield f"## {words.LAYERS}"
        yield words.LAYERS_NOTE
        yield f"![error of each layer]({LAYERS_FILE})"
        yield _table(tables.worst_layers(report))


def _drawn_layers(report: Report) -> Iterator[str]:
    by_name = {layer.name: layer for layer in report.features.layers}
    for number, name in enumerate(report.features.drawn, start=1):
        yield f"### {escape_markdown(words.layer_heading(by_name[name]))}"
        prefix = f"layer-{number}-"
        yield from _pictures(p for p in report.features.pictures if p.file_name.startswith(prefix))


def _pictures(pictures: Iterable[Picture]) -> Iterator[str]:
    for picture in pictures:
        caption = escape_markdown(picture.caption)
        yield f"![{caption}]({picture.file_name})  \n{caption}"


def _table(table: Table) -> str:
    rules = ["---:" if i in table.numbers else "---" for i in range(len(table.headers))]
    rows = [[escape_markdown(cell) for cell in row] for row in (table.headers, *table.rows)]
    rows.insert(1, rules)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
