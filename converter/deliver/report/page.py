"""The report for people: one HTML file that loads nothing from elsewhere."""

from __future__ import annotations

import base64
from importlib import resources
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from converter.deliver.report import plots, tables, words
from converter.deliver.report.markup import clean
from converter.judge.gate import PASSES, REFUSED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from converter.deliver.report.contents import Picture, Report
    from converter.deliver.report.tables import Table

MEDIA_TYPES = {".jpg": "image/jpeg", ".png": "image/png"}


def as_html(report: Report) -> str:
    """Return the page; every text in it is escaped by the writer of the XML."""
    root = ET.Element("html", lang="en")
    head = _add(root, "head")
    _add(head, "meta", charset="utf-8")
    _add(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    _add(head, "title", f"{report.subject.quantized.description.name}: report")
    _add(
        head,
        "style",
        (resources.files("converter.deliver.report") / "report.css").read_text("utf-8"),
    )
    body = _add(root, "body")
    _add_head(body, report)
    _add_cost(body, report)
    _add_side_by_side(body, report)
    _add_layers(body, report)
    _add_features(body, report)
    if report.subject.attempts:
        _add(body, "h2", words.TRIED)
        _add_table(body, tables.attempts(report))
    _add(body, "h2", words.ORIGIN)
    _add_table(body, tables.origin(report))
    return "<!DOCTYPE html>\n" + ET.tostring(root, encoding="unicode", method="html") + "\n"


def _add(parent: ET.Element, tag: str, text: str = "", **attributes: str) -> ET.Element:
    """Append an element; `style_` spells an attribute that is a word of Python's."""
    named = {name.rstrip("_"): clean(value) for name, value in attributes.items()}
    element = ET.SubElement(parent, tag, named)
    if text:
        element.text = clean(text)
    return element


def _add_head(body: ET.Element, report: Report) -> None:
    _add(body, "h1", report.subject.quantized.description.name)
    kind = {PASSES: "good", REFUSED: "bad"}.get(report.subject.verdict.value, "unsure")
    _add(body, "p", words.verdict(report), class_=f"verdict {kind}")
    for sentence in words.sentences(report):
        _add(body, "p", sentence, class_="note")


def _add_cost(body: ET.Element, report: Report) -> None:
    _add(body, "h2", words.COST)
    _add_table(body, tables.variants(report), own=len(report.variants) - 1)
    _add(body, "p", words.cost_note(report), class_="dim")
    if report.subject.bill.accuracy:
        _add(body, "h3", words.ACCURACIES)
        _add_table(body, tables.accuracies(report))
    _add(body, "h3", words.HEADS)
    _add_table(body, tables.heads(report))


def _add_side_by_side(body: ET.Element, report: Report) -> None:
    _add(body, "h2", words.SIDE_BY_SIDE)
    _add(body, "p", words.side_by_side_note(report), class_="dim")
    for picture in report.side_by_side:
        _add_picture(body, picture)


def _add_layers(body: ET.Element, report: Report) -> None:
    if not report.layers:
        return
    _add(body, "h2", words.LAYERS)
    _add(body, "p", words.LAYERS_NOTE, class_="dim")
    _add_plot(body, plots.layer_errors(report.layers, worst=tables.WORST_LAYERS))
    _add_table(body, tables.worst_layers(report))


def _add_features(body: ET.Element, report: Report) -> None:
    features = report.features
    _add(body, "h2", words.FEATURES)
    _add(body, "p", words.features_note(report))
    _add(body, "p", words.DEAD_NOTE, class_="dim")
    found = tables.dead_channels(report)
    if found.rows:
        _add_table(body, found)
    by_name = {layer.name: layer for layer in features.layers}
    for number, name in enumerate(features.drawn, start=1):
        layer = by_name[name]
        _add(body, "h3", words.layer_heading(layer))
        _add_plot(body, plots.filter_norms(layer))
        for picture in features.pictures:
            if picture.file_name.startswith(f"layer-{number}-"):
                _add_picture(body, picture)


def _add_table(parent: ET.Element, table: Table, *, own: int | None = None) -> None:
    """Append a table in a frame that scrolls sideways; row `own` stands out."""
    element = _add(_add(parent, "div", class_="wide"), "table")
    _add_row(_add(element, "thead"), "th", table.headers, numbers=table.numbers)
    body = _add(element, "tbody")
    for number, cells in enumerate(table.rows):
        row = _add_row(body, "td", cells, numbers=table.numbers)
        if number == own:
            row.set("class", "own")


def _add_row(parent: ET.Element, tag: str, cells: Sequence[str], *, numbers: range) -> ET.Element:
    row = _add(parent, "tr")
    for column, text in enumerate(cells):
        _add(row, tag, text, class_="number" if column in numbers else "text")
    return row


def _add_picture(parent: ET.Element, picture: Picture) -> None:
    media_type = MEDIA_TYPES[picture.file_name[picture.file_name.rindex(".") :]]
    data = base64.b64encode(picture.data).decode("ascii")
    figure = _add(parent, "figure")
    _add(figure, "img", src=f"data:{media_type};base64,{data}", alt=picture.caption)
    _add(figure, "figcaption", picture.caption)


def _add_plot(parent: ET.Element, svg: str) -> None:
    element = ET.fromstring(svg.replace('xmlns="http://www.w3.org/2000/svg" ', ""))  # noqa: S314 - our own
    _add(parent, "div", class_="wide").append(element)
