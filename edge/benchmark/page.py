"""A benchmark as one page of HTML: the tables of the terminal, and plots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.benchmark import report
from edge.benchmark.rig import END_TO_END
from edge.pages import page, plot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from edge.benchmark.result import Result, Row


SECONDS = "s since the start"


def render(result: Result) -> str:
    """Return the page."""
    files = {row.setting.digest: row.setting for row in result.rows}.values()
    return page.render(
        "bench.html",
        names=", ".join(dict.fromkeys(row.setting.model for row in result.rows)),
        date=result.host.date,
        facts=[
            *report.host_facts(result.host),
            *(("model", f"{setting.file}, {setting.digest}") for setting in files),
            ("measured", report.measured_line(result)),
        ],
        overview_headers=report.OVERVIEW_HEADERS,
        overview=report.overview_cells(result),
        explanations=report.explanations(result),
        keys=[(plot.color(n), row.setting.title) for n, row in enumerate(result.rows)],
        distribution=_distribution(result.rows),
        rates=_rates(result.rows),
        sensors=[
            (title, plot.chart([plot.Line(points)], SECONDS, unit))
            for _, title, unit, key in report.SENSORS
            if (points := report.samples_of(result, key))
        ],
        stage_headers=report.PERCENTILE_HEADERS,
        stages=[(report.frames_line(row), report.stage_cells(row)) for row in result.rows],
        notes=[*report.sensor_lines(result), *report.notes(result)],
    )


def _distribution(rows: Sequence[Row]) -> Markup:
    """Return the share of frames done within a time, so that the tail can be read off."""
    lines = []
    for number, row in enumerate(rows):
        shares = (100 * np.cumsum(row.histogram) / sum(row.histogram)).tolist()
        points = zip((0.0, *row.histogram_ms), (0.0, *shares), strict=True)
        lines.append(plot.Line(list(points), plot.color(number)))
    # The slowest frame alone would squeeze all others to the left.
    shown_ms = max(row.stages[END_TO_END].p99_ms for row in rows) * 1.25
    return plot.chart(
        lines, "ms from captured to published", "frames, %", x_range=(0, shown_ms), from_zero=True
    )


def _rates(rows: Sequence[Row]) -> Markup:
    lines = []
    for number, row in enumerate(rows):
        color = plot.color(number)
        windows = [(window.started_s, window.rate_hz) for window in row.windows]
        lines.append(plot.Line(windows, color, style=":"))
        if row.sustained:
            lines.append(plot.Line([(part.at_s, part.rate_hz) for part in row.sustained], color))
    return plot.chart(lines, SECONDS, "frames/s", from_zero=True)
