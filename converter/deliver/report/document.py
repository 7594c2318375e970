"""The report for people: HTML and Markdown of the same sections, which `body.jinja` writes."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from converter.judge.bill import MIB
from converter.judge.kinds import kind_of
from edge.evaluation.measuring import JUDGED
from edge.heads import HEADS
from edge.pages import page, plot

if TYPE_CHECKING:
    from markupsafe import Markup

    from converter.deliver.report.build import Report

TEMPLATES = "converter.deliver.report"
WORST_LAYERS = 10
NAME_COLUMNS = 44
# A layer without any error is drawn at this ratio: above what int8 can reach.
MOST_DB = 60.0
# What means something to Markdown: anywhere, or at a line's start.
SPECIAL = re.compile(r"[\\`*_{}\[\]!~^$]|^[#+=-]")
# What means something to the HTML within Markdown, or ends a table's cell.
MARKUP = re.compile(r"[<>&|]")


def as_html(report: Report, plots: dict[str, Markup]) -> str:
    """Return the report as one page that loads nothing from elsewhere."""
    urls = {
        one.file_name: f"data:image/{'png' if one.file_name.endswith('.png') else 'jpeg'};base64,"
        f"{base64.b64encode(one.data).decode('ascii')}"
        for one in report.pictures
    }
    return _render("report.html", report, urls=urls, plots=plots)


def as_markdown(report: Report) -> str:
    """Return the report with links to the files beside it; text of strangers is escaped."""
    return _render("report.md", report, md=escape_markdown)


def _render(template: str, report: Report, **values: Any) -> str:  # noqa: ANN401
    head = report.fields["bill"]["head"]
    return page.render(
        template,
        package=TEMPLATES,
        report=report.fields,
        kind=kind_of(head),
        measured={task: run.NOTE for task, (*_, run) in JUDGED.items()}.get(HEADS[head].task),
        mib=MIB,
        most_layers=WORST_LAYERS,
        short=short_name,
        **values,
    )


def escape_markdown(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line."""
    line = " ".join(page.clean(text).split())
    escaped = SPECIAL.sub(lambda found: f"\\{found[0]}", line)
    return MARKUP.sub(lambda found: f"&#{ord(found[0])};", escaped)


def short_name(tensor: str) -> str:
    """Return what of a tensor's name a person needs; report.json has the whole.

    TensorFlow's converter joins the names of fused ops with semicolons, the result's first.
    """
    first = tensor.partition(";")[0]
    return first if len(first) <= NAME_COLUMNS else f"…{first[1 - NAME_COLUMNS :]}"


def draw_plots(report: Report) -> dict[str, Markup]:
    """Return bars of each layer's error, and of the norms of the drawn layers, by file name."""
    plots = {}
    layers = report.fields["layers"]
    if layers:
        shares = np.array([layer["share"] for layer in layers])
        worst = set(np.argsort(-shares, kind="stable")[:WORST_LAYERS].tolist())
        ratios = [MOST_DB if layer["snr_db"] is None else layer["snr_db"] for layer in layers]
        x = "layer, in the order in which they run"
        plots["layers-snr.svg"] = plot.bars(
            np.clip(ratios, 0, MOST_DB).tolist(), x, "signal to noise, dB", marked=worst
        )
        plots["layers-share.svg"] = plot.bars(
            (100 * shares).tolist(), x, "share of error, %", marked=worst
        )
    by_name = {layer["name"]: layer for layer in report.fields["features"]["layers"]}
    for number, (name, norms) in enumerate(report.norms.items(), start=1):
        bad = {*by_name[name]["dead"], *by_name[name]["weak"]}
        x = "channel; orange: dead or weak"
        plots[f"layer-{number}-norms.svg"] = plot.bars(norms, x, "norm of its weights", marked=bad)
    return plots
