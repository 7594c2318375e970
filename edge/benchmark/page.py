"""A benchmark as one page of HTML: the tables of the terminal, and plots."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from edge.benchmark import report
from edge.pages import page, plot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.benchmark.result import Result, Row

OVERVIEW = ("setting", "bare invoke, ms", "frames/s (95 % interval)", "limit", "reached",
            "CPU, ms a frame", "age, ms", "dropped", "RSS, MiB", "start, s")  # fmt: skip
WIDE_PX = 920


def render(result: Result) -> str:
    """Return the page."""
    names = ", ".join(dict.fromkeys(escape(row.setting.model) for row in result.rows))
    host = "<br>".join(map(escape, report.host_lines(result.host).splitlines()))
    body = [
        f"<h1>{names}</h1>",
        f"<p class=sub>{host}</p>",
        f"<p class=sub>{escape(report.measured_line(result))}</p>",
        page.table(OVERVIEW, [list(map(escape, row)) for row in report.overview_cells(result)]),
        "<h2>Distribution of the latency, captured to published</h2>",
        _legend(result.rows),
        _figure(_distribution(result.rows)),
        "<h2>Over time</h2>",
        "<p class=sub>frames/s: a point a window, and a line of the sustained run</p>",
        _figure(_rates(result)),
        *_sensors(result),
    ]
    for row in result.rows:
        body += [
            f"<h2>{escape(row.setting.title)}</h2>",
            page.table(report.PERCENTILE_HEADERS, report.stage_cells(row)),
        ]
    lines = [*report.sensor_lines(result), *report.notes(result)]
    body += ["<h2>Notes</h2>", "<ul>", *(f"<li>{escape(line)}" for line in lines), "</ul>"]
    return page.document(f"edge bench: {names}", body)


def _figure(svg: str) -> str:
    return f"<figure class=wide>{svg}</figure>"


def _legend(rows: Iterable[Row]) -> str:
    items = [
        f"<span style='color:{plot.color(number)}'>&#9632;</span> {escape(row.setting.title)}"
        for number, row in enumerate(rows)
    ]
    return f"<p>{' &nbsp; '.join(items)}</p>"


def _distribution(rows: tuple[Row, ...]) -> str:
    """Return the share of frames done within a time, so that the tail can be read off."""
    lines = []
    for number, row in enumerate(rows):
        total, done = sum(row.histogram), 0
        points = [(0.0, 0.0)]
        for edge_ms, count in zip(row.histogram_ms, row.histogram, strict=True):
            done += count
            points.append((edge_ms, 100 * done / total))
        p99_ms, most_ms = row.stages["end to end"].p99_ms, row.stages["end to end"].max_ms
        title = f"{row.setting.title}: p99 {p99_ms:.2f} ms, max {most_ms:.2f} ms"
        lines.append(plot.Line(title, points, plot.color(number)))
    # The slowest frame alone would squeeze all others to the left.
    shown_ms = max(row.stages["end to end"].p99_ms for row in rows) * 1.25
    x = plot.axis("ms from captured to published", [shown_ms], from_zero=True)
    cut = [
        plot.Line(line.title, [point for point in line.points if point[0] <= x.high], line.stroke)
        for line in lines
    ]
    y = plot.Axis("frames, %", (0.0, 25.0, 50.0, 75.0, 100.0))
    return plot.chart(cut, x, y, width_px=WIDE_PX)


def _rates(result: Result) -> str:
    lines = []
    for number, row in enumerate(result.rows):
        windows = [(window.started_s, window.rate_hz) for window in row.windows]
        lines.append(
            plot.Line(f"{row.setting.title}, windows", windows, plot.color(number), dotted=True)
        )
        if row.sustained:
            parts = [(part.at_s, part.rate_hz) for part in row.sustained]
            title = f"{row.setting.title}, sustained"
            lines.append(plot.Line(title, parts, plot.color(number)))
    points = [point for line in lines for point in line.points]
    x = plot.axis("s", [at for at, _ in points], from_zero=True)
    y = plot.axis("frames/s", [rate for _, rate in points], from_zero=True)
    return plot.chart(lines, x, y, width_px=WIDE_PX)


def _sensors(result: Result) -> list[str]:
    columns = {
        "°C": [(s.at_s, s.temperature_c) for s in result.samples],
        "MHz": [(s.at_s, s.frequency_mhz) for s in result.samples],
        "W": [(s.at_s, s.power_w) for s in result.samples],
    }
    figures = []
    for unit, values in columns.items():
        points = [(at, value) for at, value in values if value is not None]
        if points:
            x = plot.axis("s", [at for at, _ in points], from_zero=True)
            y = plot.axis(unit, [value for _, value in points])
            line = plot.Line(unit, points, "currentColor")
            figures.append(_figure(plot.chart([line], x, y, width_px=WIDE_PX)))
    return figures
