"""A measurement as text for the terminal, and as fields for JSON."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

from edge.record import storable
from edge.terminal import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.evaluation.evaluation import Evaluation
    from edge.evaluation.measuring import Difference, Measurement

    Table = tuple[list[str], list[list[str]]]  # headers, rows

SCHEMA_VERSION = 1
# Of a terminal; JSON and HTML have them all.
CLASSES_SHOWN = 20
# Of a task, what is counted.
WHAT = {
    **dict.fromkeys(("detection", "instances", "pose"), "objects"),
    "segmentation": "judged pixels",
    **dict.fromkeys(("classification", "anomaly"), "images"),
}


def fields(measured: Measurement) -> dict[str, Any]:
    """Return a measurement as JSON has it."""
    return {
        "schema_version": SCHEMA_VERSION,
        "annotations": str(measured.truth.path),
        "evaluations": list(map(evaluation_fields, measured.evaluations)),
        "differences": [
            {
                "model": row.model,
                "metric": row.metric,
                "values": row.values,
                "difference": row.values[1] - row.values[0],
                "interval": row.interval,
                "is_significant": row.is_significant,
            }
            for row in measured.differences
        ],
        "left_out": measured.truth.faults.lines(),
    }


def evaluation_fields(result: Evaluation) -> dict[str, Any]:
    """Return one model's figures as JSON has them."""
    described, confusion = result.file.description, result.confusion
    return {
        "model": {
            "file": str(result.file.path), "name": described.name, "digest": described.digest,
        },
        "task": result.task,
        "images": result.images,
        "objects": result.objects,
        "main_metric": result.main_metric,
        "metrics": result.metrics,
        "intervals": result.intervals,
        "classes": result.classes,
        "curves": result.curves,
        "confusion": {
            "note": confusion.note, "names": confusion.names, "counts": confusion.counts.tolist(),
        },
        "stages_ms": result.stages_ms,
        "notes": result.notes,
    }  # fmt: skip


def render(measured: Measurement) -> str:
    """Return a measurement as text."""
    results = measured.evaluations
    names = [
        f"{letter + ': ' if letter else ''}{result.file.description.name} ({result.file.path})"
        for letter, result in zip(letters(results), results, strict=True)
    ]
    first = results[0]
    what = f"{first.objects} {WHAT[first.task]}"
    sections = [
        "\n".join([*names, f"{first.task} on {first.images} images, {what}"]),
        table.render(*metric_table(results)),
        "\n".join(map(difference_line, measured.differences)),
        _classes(results),
        table.render(*stage_table(results)),
        *map(_confused, results),
        "\n".join(f"note: {line}" for line in notes(measured)),
    ]
    # The name of a file may be no text.
    return storable("\n\n".join(filter(None, sections)))


def letters(results: Sequence[Evaluation]) -> list[str]:
    """Return what the columns of the models are called; of one alone, nothing."""
    return [_letter(number) for number in range(len(results))] if len(results) > 1 else [""]


def notes(measured: Measurement) -> list[str]:
    """Return what a reader of the figures must know, each sentence once."""
    lines = [note for result in measured.evaluations for note in result.notes]
    return list(dict.fromkeys([*lines, *measured.truth.faults.lines()]))


def metric_table(results: Sequence[Evaluation]) -> Table:
    """Return every metric with its interval."""
    rows = []
    for metric in results[0].metrics:
        row = [metric]
        for result in results:
            ends = [f"{end:.4f}" for end in result.intervals.get(metric, ())]
            row += [f"{result.metrics[metric]:.4f}", " to ".join(ends) or "-"]
        rows.append(row)
    return _headers("metric", results, ("value", "95 % interval")), rows


def stage_table(results: Sequence[Evaluation]) -> Table:
    """Return the time of every stage of the first model; `-` where another one lacks it."""
    names = ("p50", "p95", "mean")
    rows = []
    for stage in results[0].stages_ms:
        times = [result.stages_ms.get(stage, {}) for result in results]
        rows.append(
            [stage, *(f"{row[name]:.2f}" if row else "-" for row in times for name in names)]
        )
    return _headers("stage", results, [f"{name} ms" for name in names]), rows


def difference_line(row: Difference) -> str:
    """Return a sentence on the difference of a model and the first."""
    low, high = row.interval
    verdict = "significant" if row.is_significant else "not significant"
    return (
        f"{row.metric}: {_letter(row.model)} - A = {row.values[1] - row.values[0]:+.4f} "
        f"(95 % interval {low:+.4f} to {high:+.4f}, paired over the images): {verdict}"
    )


def _headers(first: str, results: Sequence[Evaluation], names: Sequence[str]) -> list[str]:
    return [first, *(f"{letter} {name}".strip() for letter in letters(results) for name in names)]


def _letter(model: int) -> str:
    """Return what a model is called, counted from 0: A to Z, then A1."""
    alphabet = string.ascii_uppercase
    return alphabet[model % len(alphabet)] + str(model // len(alphabet) or "")


def _classes(results: Sequence[Evaluation]) -> str:
    """Return the classes with most objects: all metrics of one model, the main one of several."""
    first = results[0]
    metrics = first.class_metrics
    headers = ["class", *metrics, "objects"]
    if len(results) > 1:
        headers = [*_headers("class", results, metrics[:1]), "objects"]
        metrics = metrics[:1]
    by_objects = sorted(first.classes, key=lambda label: -first.classes[label]["objects"])
    rows = []
    for label in by_objects[:CLASSES_SHOWN]:
        found = [result.classes.get(label, {}) for result in results]
        values = [f"{row.get(name, 0.0):.4f}" for row in found for name in metrics]
        rows.append([label, *values, int(found[0]["objects"])])
    more = len(by_objects) - CLASSES_SHOWN
    tail = f"\n({more} classes with fewer objects: --json and --html show them)" if more > 0 else ""
    return table.render(headers, rows) + tail


def _confused(result: Evaluation) -> str:
    most = result.confusion.most()
    if not most:
        return ""
    lines = table.render(["it is", "taken for", "times"], most)
    return f"{lines}\n({result.file.description.name}; {result.confusion.note})"
