"""A benchmark as text for the terminal."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from edge.benchmark.duration import show
from edge.benchmark.rig import AGE, END_TO_END, PUBLISH
from edge.benchmark.spread import MAX_DISAGREEMENT, spread
from edge.results.observation import STAGES
from edge.sensors import throttle_words, throttled_during
from edge.terminal import table

if TYPE_CHECKING:
    from edge.benchmark.result import Host, Percentiles, Result, Row
    from edge.benchmark.spread import Spread

STAGE_ORDER = ("bare invoke", *STAGES, PUBLISH, AGE, END_TO_END)
OVERVIEW_HEADERS = ("setting", "invoke ms", "frames/s", "limit", "reached", "CPU ms", "age ms",
                    "dropped", "RSS MiB", "start s")  # fmt: skip
PERCENTILE_HEADERS = ("stage", "p50 ms", "p90 ms", "p95 ms", "p99 ms", "max ms")

# What a frame takes on a fast board; the instruments may take 1 % of it.
FRAME_MS = 7.0


class Limit(NamedTuple):
    """What one setting could reach on its machine at best.

    No pipeline is faster than its interpreter alone, nor than all cores at work without a pause.

    Attributes:
        rate_hz: min(workers / bare invoke, cores / CPU time of a frame), medians of the windows.
        reached: Share of the limit, each window held to its own bare invokes.
    """

    rate_hz: float
    reached: Spread


def limit(row: Row, *, cores: int) -> Limit:
    """Return what a setting could reach, and how much of it each window reached."""
    workers = row.setting.workers
    tops = [(workers * 1e3 / w.bare_ms, cores * 1e3 / w.cpu_ms) for w in row.windows]
    reached = [w.rate_hz / min(top) for w, top in zip(row.windows, tops, strict=True)]
    return Limit(min(median(column) for column in zip(*tops, strict=True)), spread(reached))


def render(result: Result) -> str:
    """Return a run as text."""
    sections = [host_lines(result.host), measured_line(result)]
    table_of_settings = table.render(OVERVIEW_HEADERS, overview_cells(result))
    sections.append("\n".join([table_of_settings, *explanations(result)]))
    for row in result.rows:
        rows = table.render(PERCENTILE_HEADERS, stage_cells(row))
        sections.append(f"{frames_line(row)}\n{rows}")
    sections.append("\n".join(sensor_lines(result)))
    sections.append("\n".join(f"note: {line}" for line in notes(result)))
    return "\n\n".join(filter(None, sections))


def host_facts(host: Host) -> list[tuple[str, str]]:
    """Return what was measured on, as names and values."""
    return [
        ("machine", f"{host.board}, {host.cores} cores"),
        ("system", f"{host.os}, Linux {host.kernel}"),
        ("versions", f"edge-vision {host.version}, {host.runtime}, Python {host.python}"),
        ("governor", f"{host.governor or 'unknown'}, load {host.load:g}"),
    ]


def host_lines(host: Host) -> str:
    """Return what was measured on, for the terminal."""
    machine, system, versions, governor = (text for _, text in host_facts(host))
    return f"{machine}, {system}\n{versions}, governor {governor}, {host.date}"


def measured_line(result: Result) -> str:
    """Return how it was measured."""
    windows = len(result.rows[0].windows)
    pace = "at its own pace" if result.live else "as fast as frames are taken"
    return (
        f"source {result.source}, {pace}; results encoded and written to the null device; "
        f"{show(result.duration_s)} of each setting in {windows} interleaved windows"
    )


def explanations(result: Result) -> list[str]:
    """Return what the columns of the overview mean."""
    limit_text = (
        "limit: frames/s of this machine at best: workers / bare invoke, or cores / CPU of a frame "
        "where that is less"
    )
    reached_text = (
        "reached: frames/s over the limit of the same window, the median of all windows with its "
        "95 % interval; so it is not the quotient of the two columns. No ratio where the middle "
        f"half of the windows spreads over {MAX_DISAGREEMENT:.0%}"
    )
    lines = [limit_text, reached_text]
    if not result.live:
        lines.append("age: with the wait for the interpreter, for the source never idles")
    return lines


def frames_line(row: Row) -> str:
    """Return what a setting's percentiles were taken over."""
    frames = sum(window.frames for window in row.windows)
    run_by = f", run by {row.run_by}" if row.run_by else ""
    return f"{row.setting.title}: {row.bare.count} bare invokes, {frames} frames{run_by}"


def overview_cells(result: Result) -> list[list[str]]:
    """Return one line a setting."""
    rows = []
    for row in result.rows:
        top, start = limit(row, cores=result.host.cores), row.start
        rate = spread([window.rate_hz for window in row.windows])
        rows.append(
            [
                row.setting.title,
                f"{row.bare.p50_ms:.2f}",
                f"{rate.median:.1f} ({rate.low:.1f} to {rate.high:.1f})",
                f"{top.rate_hz:.1f}",
                ratio_text(top.reached),
                f"{median(window.cpu_ms for window in row.windows):.2f}",
                f"{row.stages[AGE].p50_ms:.2f}",
                str(sum(window.dropped for window in row.windows)),
                f"{start.resident_mib:.0f}" if start else "-",
                f"{median(start.first_result_s):.2f}" if start else "-",
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


# What is sampled: its column in text, its title on the page, its unit, and where it stands.
SENSORS = (
    ("temperature", "Temperature of the hottest zone", "°C", "temperature_c"),
    ("clock", "Clock of the fastest core", "MHz", "frequency_mhz"),
    ("power", "Power of all measured rails", "W", "power_w"),
)


def samples_of(result: Result, key: str) -> list[tuple[float, float]]:
    """Return (seconds since the start, value) of a sensor, where it said one."""
    rows = ((sample.at_s, getattr(sample, key)) for sample in result.samples)
    return [row for row in rows if row[1] is not None]


def sensor_lines(result: Result) -> list[str]:
    """Return what the sensors said from the first sample to the last."""
    lines = []
    for name, _, unit, key in SENSORS:
        if said := [value for _, value in samples_of(result, key)]:
            lines.append(
                f"{name:<12} {said[0]:.1f} {unit} at first, {said[-1]:.1f} at last, "
                f"{min(said):.1f} to {max(said):.1f}"
            )
    bits = [sample.throttled for sample in result.samples if sample.throttled is not None]
    if bits:
        lines.append(f"throttling   in this run: {', '.join(throttled_during(bits)) or 'none'}")
        lines += [f"             {text}" for text in throttle_words(bits[-1])]
    return [*lines, *result.absent]


def sustained_line(row: Row) -> str:
    """Return how a long run began and ended; empty without one."""
    parts = row.sustained
    if not parts:
        return ""
    tenth = max(1, len(parts) // 10)
    first, last = (
        median(part.rate_hz for part in some) for some in (parts[:tenth], parts[-tenth:])
    )
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
    frame_us, sensors_us = result.instrumentation.frame_us, result.instrumentation.sensors_us
    share = frame_us / 1e3 / FRAME_MS + sensors_us / 1e6
    lines.append(
        f"measuring takes, timed in a loop, {frame_us:.0f} µs a frame and {sensors_us:.0f} µs a "
        f"second for the sensors: {share:.2%} of a {FRAME_MS:g} ms frame"
    )
    return lines
