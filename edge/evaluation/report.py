"""A measurement as text for the terminal, and as fields for JSON."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

from edge.evaluation.evaluation import to_fields
from edge.record import storable
from edge.terminal import table

if TYPE_CHECKING:
    from edge.evaluation.evaluation import Evaluation
    from edge.evaluation.measuring import Difference, Measurement

SCHEMA_VERSION = 1
# Of a terminal; JSON and HTML have them all.
CLASSES_SHOWN = 20


class Ratio(float):
    """A number that is shown with four digits."""

    digits = 4

    def __str__(self) -> str:
        """Return it with its digits."""
        return f"{float(self):.{self.digits}f}"


class Milliseconds(Ratio):
    """A time that is shown with two digits."""

    digits = 2


def fields(measured: Measurement) -> dict[str, Any]:
    """Return a measurement as JSON has it."""
    return {
        "schema_version": SCHEMA_VERSION,
        "annotations": str(measured.truth.path),
        "evaluations": [to_fields(result) for result in measured.evaluations],
        "differences": [
            {
                "model": row.model,
                "metric": row.metric,
                "values": list(row.values),
                "difference": row.values[1] - row.values[0],
                "interval": list(row.interval),
                "is_significant": row.is_significant,
            }
            for row in measured.differences
        ],
        "left_out": measured.truth.faults.lines(),
    }


def render(measured: Measurement) -> str:
    """Return a measurement as text."""
    sections = [_head(measured), _metrics(measured.evaluations)]
    if measured.differences:
        sections.append("\n".join(map(difference_line, measured.differences)))
    sections.append(_classes(measured.evaluations))
    sections.append(_stages(measured.evaluations))
    sections += filter(None, map(_confused, measured.evaluations))
    notes = [note for result in measured.evaluations for note in result.notes]
    lines = dict.fromkeys([*notes, *measured.truth.faults.lines()])
    sections.append("\n".join(f"note: {line}" for line in lines))
    # The name of a file may be no text.
    return storable("\n\n".join(filter(None, sections)))


def difference_line(row: Difference) -> str:
    """Return a sentence on the difference of a model and the first."""
    low, high = row.interval
    verdict = "significant" if row.is_significant else "not significant"
    return (
        f"{row.metric}: {letter(row.model)} - A = {row.values[1] - row.values[0]:+.4f} "
        f"(95 % interval {low:+.4f} to {high:+.4f}, paired over the images): {verdict}"
    )


def letters(results: tuple[Evaluation, ...]) -> list[str]:
    """Return what the columns of the models are called; of one alone, nothing."""
    return [letter(number) for number in range(len(results))] if len(results) > 1 else [""]


def letter(model: int) -> str:
    """Return what a model is called, counted from 0: A to Z, then A1."""
    alphabet = string.ascii_uppercase
    return alphabet[model % len(alphabet)] + str(model // len(alphabet) or "")


def _head(measured: Measurement) -> str:
    results = measured.evaluations
    first = results[0]
    what = "objects" if first.task == "detection" else "judged pixels"
    names = [
        f"{letter + ': ' if letter else ''}{result.file.description.name} ({result.file.path})"
        for letter, result in zip(letters(results), results, strict=True)
    ]
    return "\n".join([*names, f"{first.task} on {first.images} images, {first.objects} {what}"])


def _metrics(results: tuple[Evaluation, ...]) -> str:
    headers = ["metric"]
    for name in letters(results):
        headers += [f"{name} value".strip(), f"{name} 95 % interval".strip()]
    rows: list[list[object]] = []
    for metric in results[0].metrics:
        row: list[object] = [metric]
        for result in results:
            row += [Ratio(result.metrics[metric]), _interval(result, metric)]
        rows.append(row)
    return table.render(headers, rows)


def _interval(result: Evaluation, metric: str) -> str:
    if metric not in result.intervals:
        return ""
    low, high = result.intervals[metric]
    return f"{low:.4f} to {high:.4f}"


def _classes(results: tuple[Evaluation, ...]) -> str:
    first = results[0]
    metrics = [name for name in next(iter(first.classes.values()), {}) if name != "objects"]
    by_objects = sorted(first.classes, key=lambda label: -first.classes[label]["objects"])
    headers = metrics
    if len(results) > 1:
        headers = [f"{name} {metrics[0]}" for name in letters(results)]
    rows: list[list[object]] = []
    for label in by_objects[:CLASSES_SHOWN]:
        row = first.classes[label]
        values = [row[metric] for metric in metrics]
        if len(results) > 1:
            values = [result.classes.get(label, {}).get(metrics[0], 0.0) for result in results]
        rows.append([label, *map(Ratio, values), int(row["objects"])])
    more = len(by_objects) - CLASSES_SHOWN
    tail = f"\n({more} classes with fewer objects: --json and --html show them)" if more > 0 else ""
    return table.render(["class", *headers, "objects"], rows) + tail


def _stages(results: tuple[Evaluation, ...]) -> str:
    headers, rows = ["stage"], []
    for letter in letters(results):
        headers += [f"{letter} {name} ms".strip() for name in ("p50", "p95", "mean")]
    for stage in results[0].stages:
        row: list[object] = [stage]
        for result in results:
            time = result.stages.get(stage)
            values = (time.p50_ms, time.p95_ms, time.mean_ms) if time else (0.0, 0.0, 0.0)
            row += map(Milliseconds, values)
        rows.append(row)
    return table.render(headers, rows)


def _confused(result: Evaluation) -> str:
    most = result.confusion.most()
    if not most:
        return ""
    rows = [[truth, said, count] for truth, said, count in most]
    lines = table.render(["it is", "taken for", "times"], rows)
    return f"{lines}\n({result.file.description.name}; {result.confusion.note})"
