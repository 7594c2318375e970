"""How much a model sees at several speeds, by each lever, side by side.

The smaller input is the rival that costs no work: a cut that lies below it in the picture is none
to take.
"""

from __future__ import annotations

import io
import json
import math
import time
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from converter import export
from converter.conversion import judge
from converter.judge import gate
from converter.judge.latency import measure
from converter.prune.choosing import BOTH, CHANNELS, INPUT, RANK
from converter.prune.levers import tried
from converter.prune.measures import Target
from converter.quantize.quantization import quantize_file
from edge.errors import ModelError, SinkError
from edge.terminal.progress import bar
from edge.terminal.table import render

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from converter.conversion import Images
    from converter.judge.bill import Bill
    from converter.judge.gate import Budget
    from converter.prune.levers import Levers
    from converter.quantize.recipe import Recipe
    from edge.model.model_file import ModelFile

WHOLE = "whole"
MIB, PERCENT = 2**20, 95
LEVERS = (CHANNELS, RANK, INPUT, BOTH)
COLORS = {
    CHANNELS: "#c0392b", RANK: "#b9770e", INPUT: "#2471a3", BOTH: "#7d3c98", WHOLE: "#333333",
}  # fmt: skip
WORDS = {
    CHANNELS: "fewer channels",
    RANK: "layers of lower rank",
    INPUT: "smaller input",
    BOTH: "smaller input, lower rank",
    WHOLE: "whole, int8",
}
SIZE_IN, DPI = (7.5, 4.8), 120


@dataclass(frozen=True, slots=True)
class Point:
    """One int8 model beside the whole float one.

    Attributes:
        lever: What made it faster; `whole` for none.
        asked: How many times as fast it was to be.
        times: How many times as fast it is, measured with all others in turn.
        ms: Of an invoke on one thread, CPU time.
        mib: Of the file.
        value: Of the metric, in [0, 1].
        low: Of the 95 % interval of the difference from the float model, on that model's value.
        high: Likewise.
        passes: The gate.
    """

    lever: str
    asked: float
    times: float
    ms: float
    mib: float
    value: float
    low: float
    high: float
    passes: bool


@dataclass(frozen=True, slots=True)
class Sweep:
    """All points, the whole model's first.

    Attributes:
        metric: By which they are judged.
        reference: The float model's value.
        images: On which.
        refused: Why a point is not there.
        taken: Place of the point to take.
        why: A sentence on that.
        files: Of the points.
    """

    metric: str
    reference: float
    images: int
    points: tuple[Point, ...]
    refused: tuple[str, ...]
    taken: int
    why: str
    files: tuple[ModelFile, ...] = field(repr=False)


def sweep(
    levers: Levers, images: Images, recipe: Recipe, *, speeds: Sequence[float], budget: Budget
) -> Sweep:
    """Make a model faster by each lever for each speed, quantise all, and judge them on one set.

    Raises:
        ModelError: No lever reaches any speed.
        SourceError: There are too few images, or one cannot be read.
    """
    reference, sets = levers.file, images.sets
    ways = [(lever, speed) for speed in sorted(set(speeds)) for lever in LEVERS]
    made = {way: tried(partial(levers.pull, Target(way[1]), lever=way[0])) for way in ways}
    sources = {(WHOLE, 1.0): reference}
    sources |= {way: one[0].file for way, one in made.items() if not isinstance(one, ModelError)}
    refused = [
        f"{WORDS[lever]}: {str(one).partition(': ')[2]}"
        for (lever, _), one in made.items() if isinstance(one, ModelError)
    ]  # fmt: skip
    if len(sources) == 1:
        raise ModelError(f"{reference.path}: no lever reaches any speed: {'; '.join(refused)}")
    files = []
    for number, source in enumerate(sources.values(), start=1):
        with bar(f"quantise {number}/{len(sources)}") as progress:
            files.append(quantize_file(source, sets.calibrate, recipe, progress=progress))
    with bar("latency", unit="windows") as progress:
        taken_ms = measure(
            {str(place): file for place, file in enumerate(files)},
            clock=time.thread_time_ns, progress=progress,
        )  # fmt: skip
    medians_ms = [one.median_ms for one in taken_ms.values()]
    bills = judge(reference, files, images.judgement, budget=budget)
    points = tuple(
        Point(
            lever, asked, medians_ms[0] / ms, ms, len(file.flatbuffer) / MIB, *_value(bill)[1:],
            passes=not gate.judge(bill, budget).is_refused,
        )
        for (lever, asked), ms, file, bill in zip(sources, medians_ms, files, bills, strict=True)
    )  # fmt: skip
    taken, why = choose(points)
    known, *_ = (_value(bill) for bill in bills)
    return Sweep(
        known[0], bills[0].accuracy[0].reference if bills[0].accuracy else 1.0,
        len(images.judgement.images), points, tuple(refused), taken, why, tuple(files),
    )  # fmt: skip


def _value(bill: Bill) -> tuple[str, float, float, float]:
    """Return the metric, its value and the interval; without labels the likeness to the float."""
    if bill.accuracy:
        row = bill.accuracy[0]
        low, high = (row.reference + edge for edge in row.interval)
        return row.metric, row.candidate, low, high
    like = bill.likeness
    draws = 1 - like.draws[:, 0] if len(like.draws) else np.array([1 - like.distance])
    margin = (100 - PERCENT) / 2
    low, high = (float(np.percentile(draws, edge)) for edge in (margin, 100 - margin))
    return "likeness to the float model", 1 - like.distance, low, high


def choose(points: Sequence[Point]) -> tuple[int, str]:
    """Return the place of the point to take, and why.

    The fastest that the gate lets pass, or else the whole model; then the faster one is named that
    lost the least for its speed.
    """
    passing = [place for place, point in enumerate(points) if point.passes]
    best = max(passing, key=lambda place: points[place].times, default=0)
    if points[best].lever != WHOLE:
        return best, "the fastest that the gate lets pass"
    whole = points[0]
    near = min(
        points[1:], key=lambda one: (whole.value - one.value) / math.log(max(1.01, one.times))
    )
    none = "none that is faster" if whole.passes else "none, not even this,"
    return best, (
        f"the gate lets {none} pass; of those {WORDS[near.lever]}, {near.times:.2f} times as fast, "
        "loses the least for its speed: say with --max-loss or --tolerance what you give for it"
    )


def as_text(found: Sweep) -> str:
    """Return the table, and what to take."""
    rows = [
        [
            WORDS[point.lever], f"{point.asked:g}", f"{point.times:.2f}", f"{point.ms:.2f}",
            f"{point.mib:.2f}", f"{point.value:.3f}", f"{point.low:.3f} to {point.high:.3f}",
            "passes" if point.passes else "refused",
        ]
        for point in found.points
    ]  # fmt: skip
    head = ["by", "asked", "times", "ms", "MiB", found.metric, "95 %", "gate"]
    best = found.points[found.taken]
    lines = [render(head, rows), *(f"not there: {line}" for line in found.refused)]
    return "\n".join(
        [*lines, f"take        {WORDS[best.lever]}, {best.times:.2f} times as fast: {found.why}"]
    )


def fields(found: Sweep) -> dict[str, Any]:
    """Return all figures as JSON has them."""
    return {
        "schema_version": 1,
        "metric": found.metric,
        "float": found.reference,
        "images": found.images,
        "points": [asdict(point) | {"file": name_of(point)} for point in found.points],
        "refused": list(found.refused),
        "take": name_of(found.points[found.taken]),
        "why": found.why,
    }


def name_of(point: Point) -> str:
    """Return the name of a point's file."""
    return f"{point.lever}-{point.asked:g}.tflite{'' if point.passes else '.rejected'}"


def write(found: Sweep, folder: Path) -> None:
    """Write the models, the figures and the picture; each whole or not at all.

    Raises:
        SinkError: The folder cannot be written.
    """
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise SinkError(f"{folder}: cannot be made: {error.strerror}; choose another -o") from error
    for point, file in zip(found.points, found.files, strict=True):
        export.write(file, folder / name_of(point))
    export.write_bytes(json.dumps(fields(found), indent=1).encode(), folder / "sweep.json")
    export.write_bytes(picture(found), folder / "sweep.png")


def picture(found: Sweep) -> bytes:
    """Return speed against what is seen as PNG: a line a lever, its intervals, files' sizes."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - of the extra report

    figure = Figure(figsize=SIZE_IN, dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.axhline(found.reference, color="#999999", linestyle="--", linewidth=1)
    axes.text(0.99, found.reference, "float", transform=axes.get_yaxis_transform(), ha="right",
              va="bottom", fontsize=8, color="#777777")  # fmt: skip
    for lever, color in COLORS.items():
        rows = sorted((p for p in found.points if p.lever == lever), key=lambda p: p.times)
        if not rows:
            continue
        x, y = [p.times for p in rows], [p.value for p in rows]
        spans = [[max(0, p.value - p.low) for p in rows], [max(0, p.high - p.value) for p in rows]]
        axes.errorbar(x, y, yerr=spans, color=color, marker="o", capsize=3, label=WORDS[lever])
        side = -12 if lever in (CHANNELS, INPUT) else 6
        for point in rows:
            axes.annotate(f"{point.mib:.1f} MiB", (point.times, point.value), fontsize=7,
                          xytext=(5, side), textcoords="offset points", color=color)  # fmt: skip
    best = found.points[found.taken]
    axes.plot([best.times], [best.value], "o", markersize=15, markerfacecolor="none",
              markeredgecolor="#1e8449", markeredgewidth=2, label="to take")  # fmt: skip
    axes.set(xlabel="times as fast as the whole int8 model, one thread here",
             ylabel=f"{found.metric}, {found.images} images", ylim=(0, None))  # fmt: skip
    axes.margins(x=0.1)  # room for the last size
    axes.grid(visible=True, alpha=0.25)
    axes.legend(loc="lower left", fontsize=8)
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()
