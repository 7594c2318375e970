"""A benchmark as text for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.benchmark import cost, throttling
from edge.benchmark.duration import show
from edge.benchmark.limit import limit
from edge.benchmark.recorder import AGE, END_TO_END, PUBLISH
from edge.benchmark.spread import MAX_DISAGREEMENT, spread
from edge.results.observation import STAGES
from edge.terminal import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.benchmark.result import Host, Percentiles, Result, Row
    from edge.benchmark.spread import Spread

STAGE_ORDER = ("bare invoke", *STAGES, PUBLISH, AGE, END_TO_END)
OVERVIEW_HEADERS = ("setting", "invoke ms", "frames/s", "limit", "reached", "CPU ms", "age ms",
                    "dropped", "RSS MiB", "start s")  # fmt: skip
PERCENTILE_HEADERS = ("stage", "p50 ms", "p90 ms", "p95 ms", "p99 ms", "max ms")


def render(result: Result) -> str:
    """Return a run as text."""
    sections = [host_lines(result.host), measured_line(result), overview(result)]
    for row in result.rows:
        title = f"{row.setting.title}: {row.bare.count} bare invokes, {frames_of(row)} frames"
        sections.append(f"{title}\n{table.render(PERCENTILE_HEADERS, stage_cells(row))}")
    sections.append("\n".join(sensor_lines(result)))
    sections.append("\n".join(f"note: {line}" for line in notes(result)))
    return "\n\n".join(filter(None, sections))


def host_lines(host: Host) -> str:
    """Return what was measured on."""
    return (
        f"{host.board}, {host.cores} cores, {host.os}, Linux {host.kernel}\n"
        f"Python {host.python}, {host.runtime}, edge-vision {host.version}, governor "
        f"{host.governor or 'unknown'}, load {host.load:g}, {host.date}"
    )


def measured_line(result: Result) -> str:
    """Return how it was measured."""
    windows = len(result.rows[0].windows)
    pace = "at its own pace" if result.live else "as fast as frames are taken"
    return (
        f"source {result.source}, {pace}; results encoded and written to the null device; "
        f"{show(result.duration_s)} of each setting in {windows} interleaved windows"
    )


def overview(result: Result) -> str:
    """Return one line a setting."""
    return table.render(OVERVIEW_HEADERS, overview_cells(result))


def overview_cells(result: Result) -> list[list[str]]:
    """Return the cells of `overview`."""
    rows = []
    for row in result.rows:
        top = limit(row, cores=result.host.cores)
        rate = spread([window.rate_hz for window in row.windows])
        cpu = spread([window.cpu_ms for window in row.windows])
        start = row.start
        rows.append(
            [
                row.setting.title,
                f"{row.bare.p50_ms:.2f}",
                f"{rate.median:.1f} ({rate.low:.1f} to {rate.high:.1f})",
                f"{top.rate_hz:.1f}",
                ratio_text(top.reached),
                f"{cpu.median:.2f}",
                f"{row.stages[AGE].p50_ms:.2f}",
                str(sum(window.dropped for window in row.windows)),
                f"{start.resident_mib:.0f}" if start else "-",
                f"{spread(start.first_result_s).median:.2f}" if start else "-",
            ]
        )
    blank = ["-"] * (len(OVERVIEW_HEADERS) - 2)
    return rows + [[found.setting.title, "not loaded", *blank] for found in result.missing]


def ratio_text(found: Spread) -> str:
    """Return a ratio with its interval; or that its windows disagree too much for one."""
    if found.agrees:
        return f"{found.median:.3f} ({found.low:.3f} to {found.high:.3f})"
    return f"no ratio: windows disagree by {found.disagreement_ratio:.0%}"


def stage_cells(row: Row) -> list[list[str]]:
    """Return a line of percentiles for each stage."""
    times: dict[str, Percentiles] = {"bare invoke": row.bare, **row.stages}
    return [
        [name, *(f"{value:.2f}" for value in (p.p50_ms, p.p90_ms, p.p95_ms, p.p99_ms, p.max_ms))]
        for name in STAGE_ORDER
        if (p := times.get(name))
    ]


def sensor_lines(result: Result) -> list[str]:
    """Return what the sensors said from the first sample to the last."""
    columns = {
        "temperature": ([s.temperature_c for s in result.samples], "°C"),
        "clock": ([s.frequency_mhz for s in result.samples], "MHz"),
        "power": ([s.power_w for s in result.samples], "W"),
    }
    lines = []
    for name, (values, unit) in columns.items():
        said = [value for value in values if value is not None]
        if said:
            lines.append(
                f"{name:<12} {said[0]:.1f} {unit} at first, {said[-1]:.1f} at last, "
                f"{min(said):.1f} to {max(said):.1f}"
            )
    bits = [sample.throttled for sample in result.samples if sample.throttled is not None]
    if bits:
        happened = throttling.during(bits)
        lines.append(f"throttling   in this run: {', '.join(happened) or 'none'}")
        lines += [f"             {text}" for text in throttling.words(bits[-1])]
    return [*lines, *result.absent]


def sustained_line(row: Row) -> str:
    """Return how a long run began and ended; empty without one."""
    parts = row.sustained
    if not parts:
        return ""
    tenth = max(1, len(parts) // 10)
    first = spread([part.rate_hz for part in parts[:tenth]]).median
    last = spread([part.rate_hz for part in parts[-tenth:]]).median
    p99_ms = max(part.end_to_end_p99_ms for part in parts)
    return (
        f"{row.setting.title}, sustained for {parts[-1].at_s - parts[0].at_s:.0f} s: "
        f"{first:.1f} frames/s in the first tenth, {last:.1f} in the last ({last / first:.3f}); "
        f"worst p99 of a part {p99_ms:.2f} ms"
    )


def notes(result: Result) -> list[str]:
    """Return everything that a reader of the figures must know."""
    lines = [*filter(None, map(sustained_line, result.rows)), *result.notes]
    lines += [f"{row.setting.title}: {note}" for row in result.rows for note in row.notes]
    lines += [f"{found.setting.title}: not loaded: {found.reason}" for found in result.missing]
    share = cost.share_of(result.instrumentation)
    lines.append(
        f"measuring takes, timed in a loop, {result.instrumentation.frame_us:.0f} µs a frame and "
        f"{result.instrumentation.sensors_us:.0f} µs a second for the sensors: {share:.2%} of a "
        f"{cost.FRAME_MS:g} ms frame"
    )
    lines.append(
        "reached: frames/s over the limit, min(1 / invoke, cores / CPU), window by window, with "
        f"95 % interval; not told where their middle half spreads over {MAX_DISAGREEMENT:.0%}"
    )
    if not result.live:
        lines.append("age includes the wait for the interpreter: the source never idles")
    return lines


def frames_of(row: Row) -> int:
    """Return all frames of a setting's windows."""
    return sum(window.frames for window in row.windows)


def titles(rows: Sequence[Row]) -> list[str]:
    """Return the settings' names."""
    return [row.setting.title for row in rows]
