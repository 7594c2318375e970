"""Two runs of `edge bench` against each other: ratios with intervals, and what else differs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.benchmark.spread import MAX_DISAGREEMENT, Ratio, Spread, ratio, spread
from edge.terminal import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edge.benchmark.result import Result, Row, Window
    from edge.record import Record

SCHEMA_VERSION = 1
# What is compared: its name, and where it stands in a window.
FIGURES: dict[str, Callable[[Window], float]] = {
    "bare invoke, ms": lambda window: window.bare_ms,
    "frames/s": lambda window: window.rate_hz,
    "end to end, ms": lambda window: window.end_to_end_ms,
    "CPU, ms a frame": lambda window: window.cpu_ms,
}
HOST_FIELDS = ("board", "cpu", "cores", "os", "kernel", "python", "runtime", "version", "governor")
RUN_FIELDS = ("source", "live", "duration_s")


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one setting in both runs.

    Attributes:
        ratio: B over A; `None` where the windows of a run disagree too much.
    """

    setting: str
    name: str
    spreads: tuple[Spread, Spread]
    ratio: Ratio | None

    @property
    def verdict(self) -> str:
        """What the figure tells, in words."""
        if self.ratio:
            return "significant" if self.ratio.is_significant else "not significant"
        worst = max(found.disagreement_ratio for found in self.spreads)
        if worst <= MAX_DISAGREEMENT:
            return "no ratio: too few windows"
        return f"no ratio: windows disagree by {worst:.0%}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs compared; `differences` is what else is not the same, a line each."""

    figures: tuple[Figure, ...]
    differences: tuple[str, ...]


def compare(first: Result, second: Result) -> Comparison:
    """Compare the settings that both runs have; if each has just one, these."""
    pairs, differences = _pairs(first, second)
    figures = []
    for ours, theirs in pairs:
        for name, value in FIGURES.items():
            a, b = ([value(window) for window in row.windows] for row in (ours, theirs))
            spreads = spread(a), spread(b)
            told = all(found.agrees for found in spreads)
            figures.append(Figure(ours.setting.title, name, spreads, ratio(b, a) if told else None))
    host_lines = _differences(first.host, second.host, HOST_FIELDS)
    run_lines = _differences(first, second, RUN_FIELDS)
    return Comparison(tuple(figures), (*host_lines, *run_lines, *differences))


def render(compared: Comparison) -> str:
    """Return a comparison as text."""
    rows = []
    for figure in compared.figures:
        found = figure.ratio
        interval = f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})" if found else "-"
        medians = (f"{each.median:.2f}" for each in figure.spreads)
        rows.append([figure.setting, figure.name, *medians, interval, figure.verdict])
    headers = ("setting", "figure", "A", "B", "B / A (95 % interval)", "")
    lines = [f"differs: {text}" for text in compared.differences]
    lines.append(
        "intervals: bootstrap over the windows; no ratio where the middle half of a run's windows "
        f"spreads over {MAX_DISAGREEMENT:.0%}. The runs were not interleaved: what the machine did "
        "besides, in one of them only, is in the ratio"
    )
    return f"{table.render(headers, rows)}\n\n" + "\n".join(lines)


def fields(compared: Comparison) -> dict[str, Any]:
    """Return a comparison as JSON has it."""
    figures = [
        {
            "setting": figure.setting,
            "figure": figure.name,
            "a": figure.spreads[0].median,
            "b": figure.spreads[1].median,
            "ratio": figure.ratio.value if figure.ratio else None,
            "interval": [figure.ratio.low, figure.ratio.high] if figure.ratio else None,
            "verdict": figure.verdict,
        }
        for figure in compared.figures
    ]
    differences = list(compared.differences)
    return {"schema_version": SCHEMA_VERSION, "figures": figures, "differences": differences}


def _pairs(first: Result, second: Result) -> tuple[list[tuple[Row, Row]], list[str]]:
    theirs = {row.setting.title: row for row in second.rows}
    pairs = [(row, theirs[row.setting.title]) for row in first.rows if row.setting.title in theirs]
    if not pairs and len(first.rows) == len(second.rows) == 1:
        pairs = [(first.rows[0], second.rows[0])]
    paired = {id(row) for pair in pairs for row in pair}
    runs = (("A", first), ("B", second))
    lines = [
        f"only {letter} has {row.setting.title}"
        for letter, result in runs
        for row in result.rows
        if id(row) not in paired
    ]
    lines += [
        f"not loaded in {letter}: {found.setting.title}"
        for letter, result in runs
        for found in result.missing
    ]
    for ours, others in pairs:
        a, b = ours.setting, others.setting
        if a.delegate != b.delegate:
            lines.append(f"delegate: {a.delegate} in A, {b.delegate} in B")
        if a.title != b.title:
            lines.append(f"setting: {a.title} in A, {b.title} in B")
        elif a.digest != b.digest:
            lines.append(f"{a.model} is not the same file in A and B")
    return pairs, list(dict.fromkeys(lines))


def _differences(a: Record, b: Record, names: Iterable[str]) -> list[str]:
    """Return a line for each field that is not the same; what is not said is unknown."""
    said = {name: [str(getattr(run, name)) or "unknown" for run in (a, b)] for name in names}
    return [
        f"{name}: {one} in A, {other} in B" for name, (one, other) in said.items() if one != other
    ]
