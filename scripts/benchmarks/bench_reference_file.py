"""Reference figures of a board, in a CSV file, and whether a new run is worse.

Only what hardly depends on the machine's other work is judged: CPU time over that of a bare invoke
of the same run, and memory. A ratio of elapsed times is judged where the machine was idle, then and
now. The milliseconds beside them are for people to read.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.benchmark.spread import MAX_DISAGREEMENT, Spread
from edge.errors import SourceError
from edge.record import Record, Unsound
from edge.record import read as read_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from edge.benchmark.result import Host

# A figure may be so much above the reference's interval; less is what other work does to it.
TOLERANCE_RATIO = 0.10
ELAPSED = "ratio, elapsed"
JUDGED_UNITS = ("ratio", "MiB", ELAPSED)
# Runnable threads per core before the run, up to which a machine is idle.
IDLE_LOAD = 0.25


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure of this run; less is better.

    Attributes:
        unit: Those of `JUDGED_UNITS` are judged; `ELAPSED` where the machine is idle.
    """

    figure: str
    unit: str
    spread: Spread


class Reference(Record, frozen=True, kw_only=True):
    """One line of the file: a figure, and what it was measured on.

    Attributes:
        load: Mean number of runnable threads over the minute before the run.
        low: Lower end of the median's 95 % interval.
        high: Upper end.
    """

    board: str
    cores: int
    load: float
    os: str
    python: str
    runtime: str
    threads: str
    governor: str
    date: str
    figure: str
    unit: str
    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """A figure beside its reference.

    Attributes:
        ratio: New median over the reference's; `None` without one.
        text: What it tells, in words.
    """

    measured: Measured
    reference: Reference | None
    ratio: float | None
    is_worse: bool
    text: str


def file_name(host: Host) -> str:
    """Return the name of a board's file."""
    slug = re.sub(r"[^a-z0-9]+", "-", host.board.lower()).strip("-")
    return f"{slug}-{host.cores}-cores.csv"


def references(host: Host, found: Iterable[Measured], *, threads: int) -> list[Reference]:
    """Return the lines of a run."""
    return [
        Reference(
            board=host.board,
            cores=host.cores,
            load=host.load,
            os=host.os,
            python=host.python,
            runtime=host.runtime,
            threads=str(threads),
            governor=host.governor or "unknown",
            date=host.date,
            figure=item.figure,
            unit=item.unit,
            median=round(item.spread.median, 5),
            low=round(item.spread.low, 5),
            high=round(item.spread.high, 5),
        )
        for item in found
    ]


def write(path: Path, rows: Sequence[Reference]) -> None:
    """Write a board's file; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = list(Reference.__struct_fields__)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(row.plain() for row in rows)


def read(path: Path) -> list[Reference]:
    """Read a board's file.

    Raises:
        SourceError: It is missing or damaged.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                read_record(Reference, row, strict=False)
                for row in csv.DictReader(file, strict=True)
            ]
    except FileNotFoundError as error:
        raise SourceError(
            f"{path}: this board has no reference figures; make them with: scripts/bench --record"
        ) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path}: cannot be read: {error}; restore it with git") from error
    except Unsound as error:
        names = ", ".join(Reference.__struct_fields__)
        raise SourceError(f"{path}: expected the columns {names}: {error}") from error


def judge(host: Host, found: Iterable[Measured], known: Iterable[Reference]) -> list[Verdict]:
    """Hold a run's figures to the board's.

    Args:
        host: Of this run.
        found: Its figures.
        known: The board's.
    """
    by_figure = {(row.figure, row.unit): row for row in known}
    return [_verdict(host, item, by_figure.get((item.figure, item.unit))) for item in found]


def _verdict(host: Host, item: Measured, reference: Reference | None) -> Verdict:
    if reference is None:
        return Verdict(item, None, None, is_worse=False, text="new: no reference")
    ratio = item.spread.median / reference.median
    reason = _not_judged(host, item, reference)
    if reason:
        return Verdict(item, reference, ratio, is_worse=False, text=f"not judged: {reason}")
    is_worse = item.spread.low > reference.high * (1 + TOLERANCE_RATIO)
    is_better = item.spread.high < reference.low * (1 - TOLERANCE_RATIO)
    text = "worse" if is_worse else "better; record it" if is_better else "as before"
    return Verdict(item, reference, ratio, is_worse=is_worse, text=text)


def _not_judged(host: Host, item: Measured, reference: Reference) -> str:
    """Return why a figure tells nothing; empty if it does."""
    if item.unit not in JUDGED_UNITS:
        return "other work moves it"
    if item.spread.disagreement_ratio > MAX_DISAGREEMENT:
        return f"windows disagree by {item.spread.disagreement_ratio:.0%}"
    if item.unit != ELAPSED:
        return ""
    for when, load, cores in (
        ("now", host.load, host.cores),
        ("when it was recorded", reference.load, reference.cores),
    ):
        if load > IDLE_LOAD * cores:
            return f"load {load:g} {when}"
    return ""
