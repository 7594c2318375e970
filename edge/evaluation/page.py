"""A measurement as one page of HTML that needs nothing but itself."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.benchmark import host
from edge.benchmark.report import host_facts
from edge.evaluation import pictures
from edge.evaluation.report import difference_line, letters
from edge.pages import page, plot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from edge.evaluation.evaluation import Confusion, Evaluation
    from edge.evaluation.judge import Curve
    from edge.evaluation.measuring import Measurement

# A larger matrix fits no screen; its most frequent mistakes do.
MATRIX_NAMES = 25
# More curves than colours are told apart by nobody.
NAMED_CURVES = len(plot.COLORS)
# 12 images of 480 px are some 300 kB of page.
PICTURE_SIDE_PX = 480
PICTURE_QUALITY = 75


def render(measured: Measurement) -> str:
    """Return the page, with its date and the machine that it is made on.

    Raises:
        SourceError: One of the worst images is no longer there.
    """
    results = measured.evaluations
    marks = letters(results)
    machine = host.describe()
    notes = [note for result in results for note in result.notes]
    return page.render(
        "eval.html",
        names=" against ".join(result.file.description.name for result in results),
        subject=f"{results[0].task.capitalize()} on {results[0].images} labelled images",
        date=machine.date,
        facts=_facts(measured) + host_facts(machine),
        metric_headers=["metric", *page.columns(marks, ("value", "95 % interval"))],
        metrics=_metrics(results),
        differences=list(map(difference_line, measured.differences)),
        curves=[
            (f"{letter} {result.file.description.name}".strip(), *_curves(result.curves))
            for letter, result in zip(marks, results, strict=True)
            if result.curves
        ],
        stage_headers=["stage", *page.columns(marks, ("p50 ms", "p95 ms", "mean ms"))],
        stages=_stages(results),
        models=[_details(measured, number, letter) for number, letter in enumerate(marks)],
        notes=list(dict.fromkeys([*notes, *measured.truth.faults.lines()])),
    )


def _facts(measured: Measurement) -> list[tuple[str, str]]:
    results = measured.evaluations
    what = "objects" if results[0].task == "detection" else "judged pixels"
    return [
        *(
            (
                f"model {letter}".strip(),
                (
                    f"{result.file.description.name}, {result.file.path}, "
                    f"{result.file.description.digest}"
                ),
            )
            for letter, result in zip(letters(results), results, strict=True)
        ),
        ("annotations", f"{measured.truth.path}: {results[0].objects} {what}"),
    ]


def _metrics(results: Sequence[Evaluation]) -> list[list[str]]:
    rows = []
    for metric in results[0].metrics:
        row = [metric]
        for result in results:
            ends = [f"{end:.4f}" for end in result.intervals.get(metric, ())]
            row += [f"{result.metrics[metric]:.4f}", " to ".join(ends) or "-"]
        rows.append(row)
    return rows


def _curves(curves: dict[str, Curve]) -> tuple[Markup, list[tuple[str, str]]]:
    """Return precision over recall: each class thin and their mean bold; and what is which."""
    lines, keys = [], []
    for number, (label, curve) in enumerate(curves.items()):
        color = plot.color(number)
        lines.append(plot.Line(_points(curve.precision), color, width_pt=1, opacity=0.6))
        keys.append((color, f"{label} {curve.average_precision_50:.3f}"))
    mean = np.mean([curve.precision for curve in curves.values()], axis=0)
    lines.append(plot.Line(_points(mean), width_pt=2.5))
    named = keys if len(keys) <= NAMED_CURVES else []
    svg = plot.chart(lines, "recall", "precision", x_range=(0, 1), from_zero=True)
    return svg, [(plot.INK_OF_PAGE, f"mean AP50 {mean.mean():.3f}"), *named]


def _points(precision: Sequence[float]) -> list[tuple[float, float]]:
    return list(zip(np.linspace(0, 1, len(precision)), precision, strict=True))


def _stages(results: Sequence[Evaluation]) -> list[list[str]]:
    rows = []
    for stage in results[0].stages:
        times = [result.stages.get(stage) for result in results]
        values = [
            f"{value:.2f}" if time else "-"
            for time in times
            for value in ((time.p50_ms, time.p95_ms, time.mean_ms) if time else (0.0, 0.0, 0.0))
        ]
        rows.append([stage, *values])
    return rows


def _details(measured: Measurement, number: int, letter: str) -> dict[str, Any]:
    """Return what the page shows of one model: its classes, its confusion, its worst images."""
    result = measured.evaluations[number]
    metrics = [name for name in next(iter(result.classes.values()), {}) if name != "objects"]
    by_value = sorted(result.classes.items(), key=lambda item: -item[1].get(metrics[0], 0.0))
    worst = pictures.worst(measured, model=number, side_px=PICTURE_SIDE_PX)
    return {
        "letter": letter,
        "class_headers": ["class", *metrics, "objects"],
        "classes": [
            ([label, *(f"{row[name]:.4f}" for name in metrics), f"{int(row['objects'])}"],
             row[metrics[0]])
            for label, row in by_value
        ],
        "worst_keys": pictures.keys(result),
        "worst": [(path.name, row.text, _base64(image)) for row, path, image in worst],
        **_confusion(result.confusion),
    }  # fmt: skip


def _confusion(confusion: Confusion) -> dict[str, Any]:
    """Return the matrix; of many classes the most frequent mistakes instead."""
    fields: dict[str, Any] = {"confusion_note": confusion.note, "confused": [], "matrix": []}
    if len(confusion.names) > MATRIX_NAMES:
        return fields | {"confused": confusion.most()}
    totals = confusion.counts.sum(axis=1)
    rows = [
        [
            (int(count), count / max(1, totals[row]), "right" if row == column else "wrong")
            for column, count in enumerate(confusion.counts[row])
        ]
        for row in range(len(confusion.names))
    ]
    return fields | {
        "matrix_names": confusion.names,
        "matrix": list(zip(confusion.names, rows, strict=True)),
    }


def _base64(image: Any) -> str:  # noqa: ANN401 - `(H, W, 3)` uint8
    return base64.b64encode(pictures.jpeg(image, quality=PICTURE_QUALITY)).decode("ascii")
