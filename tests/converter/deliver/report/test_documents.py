"""Three documents of one report: the same numbers, nothing from elsewhere, strangers' text tame."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converter.deliver.report import document, folder
from converter.deliver.report.build import SCHEMA_VERSION
from converter.deliver.report.document import as_markdown, draw_plots, escape_markdown
from edge.errors import SinkError
from edge.pages import plot
from edge.pages.page import clean

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Reads a page strictly: every element that is opened is closed, in its order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts, self.sources, self.attributes = [], [], [], [], set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


def as_html(report):
    return document.as_html(report, draw_plots(report))


def table(report, header):
    """Return the cells of the Markdown table with this header, row by row, the headers first."""
    blocks = [block for block in as_markdown(report).split("\n\n") if f"| {header} |" in block]
    lines = [line for line in blocks[0].splitlines() if line[:2] == "| " and line[2] != "-"]
    return [[cell.replace("\\", "") for cell in line[2:-2].split(" | ")] for line in lines]


@pytest.fixture(scope="module")
def page(report):
    return as_html(report)


@pytest.fixture(scope="module")
def fields(report):
    return json.loads(json.dumps(report.fields, allow_nan=False))


def test_the_page_is_well_formed_and_loads_nothing(page):
    read = Page(page)

    assert page.startswith("<!doctype html>")
    assert "script" not in read.tags
    assert "link" not in read.tags
    assert read.sources
    assert all(source.startswith("data:image/") for source in read.sources)
    assert not re.search(r"https?:|url\((?!#)|@import", page)
    assert not any(name.startswith("on") for name in read.attributes)


def test_hostile_labels_and_names_are_shown_as_text(page, report):
    read = Page(page)

    name = clean(report.fields["model"]["name"])
    assert name in read.texts
    assert f"a fault of {name}" in read.texts
    assert "<script>alert" not in page
    assert "\x00" not in page


def test_hostile_text_means_nothing_to_markdown(report):
    text = as_markdown(report)

    assert "<script" not in text
    assert not re.search(r"(?<!\\)\]\(javascript", text)
    for line in text.splitlines():
        if line.startswith("| "):
            assert line.count("|") == len(line.split("|")) - 1
    lengths = {
        len(block.splitlines()[0].split("|")) - len(line.split("|"))
        for block in text.split("\n\n")
        if block.startswith("| ")
        for line in block.splitlines()
    }
    assert lengths == {0}, "a row has as many cells as its headers"


@given(text=st.text())
def test_any_text_fits_into_xml_and_on_one_line_of_markdown(text):
    element = ET.Element("p")
    element.text = clean(text)

    assert ET.fromstring(ET.tostring(element, encoding="unicode")) is not None  # noqa: S314
    escaped = escape_markdown(text)
    assert "\n" not in escaped
    assert not re.search(r"[<>|]", escaped)
    assert not re.search(r"(?<!\\)(\\\\)*[`\[\]*_]", escaped), "each has a backslash of its own"


def test_the_tables_numbers_are_the_bills(subject, report, fields):
    bill = subject.bill
    headers, *rows = table(report, "size, MiB")

    assert headers[0] == "model"
    assert [row[0] for row in rows] == ["float32", "float16", "dynamic", "int8"]
    distance = bill.likeness.distance
    assert rows[-1][1] == f"{bill.candidate_bytes / 2**20:.2f}"
    assert rows[-1][5] == f"{distance:.3f} ({bill.matched} of {bill.expected} found again)"
    assert fields["variants"][-1]["distance"] == distance == fields["bill"]["distance"]
    assert [row["size_bytes"] for row in fields["variants"]][-1] == bill.candidate_bytes
    for row, variant in zip(rows, fields["variants"], strict=True):
        assert row[3].startswith(f"{variant['latency']['median_ms']:.2f} ")
    assert f">{rows[-1][5]}</td>" in as_html(report)


def test_accuracy_against_labels_stands_in_the_table_with_its_interval(report):
    rows = [
        {"metric": metric, "dataset": "d", "images": 7, "reference": 0.31, "candidate": 0.3,
         "difference": -0.01, "interval": [-0.02, 0.005]}
        for metric in ("mAP50-95", "mAP50")
    ]  # fmt: skip
    float32, *others = report.fields["variants"]
    labelled = {
        **report.fields,
        "bill": {**report.fields["bill"], "accuracy": rows},
        "variants": [float32, *({**each, "accuracy": rows} for each in others)],
    }
    full = replace(report, fields=labelled)

    headers, first, *_, last = table(full, "size, MiB")
    assert headers[-1] == "mAP50-95"
    assert first[-1] == "0.3100"
    assert last[-1] == "0.3000 [-0.0200 to +0.0050]"
    _, *against = table(full, "95 % interval")
    assert len(against) == 2 * 3
    assert against[-1] == ["int8, mAP50", "0.3100", "0.3000", "-0.0100", "-0.0200 to +0.0050", "7"]
    for text in (as_html(full), as_markdown(full).replace("\\", "")):
        assert "mAP50-95 -0.0100 on 7 images" in text


def test_the_json_has_every_part(fields, subject):
    assert fields["schema_version"] == SCHEMA_VERSION
    assert fields.keys() == {
        "schema_version", "model", "verdict", "reasons", "warnings", "budget", "bill", "islands",
        "variants", "images", "layers", "features", "pictures", "attempts", "calibration",
        "image_sets", "provenance", "host", "elapsed_s", "dataset", "files",
    }  # fmt: skip
    assert fields["verdict"] == "refused"
    assert len(fields["images"]) == len(subject.judgement.images)
    assert fields["image_sets"]["select"]["images"] == 2
    assert fields["features"]["layers"][0]["dead"] == [3, 5]
    assert fields["attempts"][0]["chosen"]
    assert fields["attempts"][0]["recipe"]["name"] == "int8"
    assert fields["calibration"]["digest"].startswith("sha256:")
    assert {variant["digest"] for variant in fields["variants"]} >= {
        fields["model"]["float_digest"], fields["model"]["quantized_digest"],
    }  # fmt: skip
    assert sum(layer["share"] for layer in fields["layers"]) == 1


def test_the_written_folder_holds_what_the_documents_link_to(report, tmp_path):
    place = folder.folder_of(tmp_path / "m.tflite.rejected")
    folder.write(report, place)
    first = {path.name for path in place.iterdir()}
    folder.write(report, place)

    assert place.name == "m.rejected.report", "an earlier m.tflite keeps its own"
    assert {path.name for path in place.iterdir()} == first
    linked = set(re.findall(r"(?<!\\)\]\(([^)]+)\)", (place / "report.md").read_text("utf-8")))
    assert linked == first - {"report.md", "report.html", "report.json"}
    named = {
        picture["file"] for picture in json.loads((place / "report.json").read_text())["pictures"]
    }
    assert named == linked - {name for name in first if name.endswith(".svg")}
    assert [path.name for path in tmp_path.iterdir()] == ["m.rejected.report"], (
        "nothing else is left"
    )


def test_a_folder_of_something_else_is_never_replaced(report, tmp_path):
    (tmp_path / "m.report").mkdir()
    (tmp_path / "m.report" / "thesis.txt").write_text("years of work")

    with pytest.raises(SinkError, match="--no-report"):
        folder.write(report, tmp_path / "m.report")
    assert (tmp_path / "m.report" / "thesis.txt").exists()


def test_the_worst_layers_stand_out_in_both_plots(report, monkeypatch):
    monkeypatch.setattr(document, "WORST_LAYERS", 1)

    plots = draw_plots(report)
    for name in ("layers-snr.svg", "layers-share.svg"):
        colors = [plot.COLORS[0].lower(), plot.COLORS[1].lower()]
        assert [plots[name].count(f"fill: {color}") for color in colors] == [1, 1]
        assert ET.fromstring(plot.standalone(plots[name])) is not None  # noqa: S314
