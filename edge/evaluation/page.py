"""A measurement as one page of HTML that needs nothing but itself."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.benchmark import host
from edge.benchmark.report import host_facts
from edge.draw.jpeg import encode_jpeg
from edge.evaluation import pictures, report
from edge.pages import page, plot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from edge.evaluation.evaluation import Evaluation
    from edge.evaluation.measuring import Measurement

# A larger matrix fits no screen; its most frequent mistakes do.
MATRIX_NAMES = 25
# More curves than colours are told apart by nobody.
NAMED_CURVES = len(plot.COLORS)
# 12 images of 480 px are some 300 kB of page.
PICTURE_SIDE_PX = 480
PICTURE_QUALITY = 75


def render(measured: Measurement) -> str:
    """Return the page, with its date and the machine that it is made on."""
    results = measured.evaluations
    what = report.WHAT[results[0].task]
    machine = host.describe()
    return page.render(
        "eval.html",
        names=" against ".join(result.file.description.name for result in results),
        subject=f"{results[0].task.capitalize()} on {results[0].images} labelled images",
        date=machine.date,
        facts=[
            *((f"model {letter}".strip(), _named(result))
              for letter, result in zip(report.letters(results), results, strict=True)),
            ("annotations", f"{measured.truth.path}: {results[0].objects:,} {what}"),
            *host_facts(machine),
        ],
        metrics=report.metric_table(results),
        differences=list(map(report.difference_line, measured.differences)),
        stages=report.stage_table(results),
        counted=what.split()[-1],
        matrix_names=MATRIX_NAMES,
        models=[
            _details(measured, number, letter)
            for number, letter in enumerate(report.letters(results))
        ],
        notes=report.notes(measured),
    )  # fmt: skip


def _named(result: Evaluation) -> str:
    described = result.file.description
    return f"{described.name}, {result.file.path}, {described.digest}"


def _details(measured: Measurement, number: int, letter: str) -> dict[str, Any]:
    """Return what the page shows of one model: curves, classes, confusion, worst images."""
    result, run = measured.evaluations[number], measured.runs[number]
    metrics = result.class_metrics
    return {
        "letter": letter,
        "name": result.file.description.name,
        "curves": _curves(result) if result.curves else None,
        "metrics": metrics,
        "classes": sorted(result.classes.items(), key=lambda item: -item[1].get(metrics[0], 0.0)),
        "confusion": result.confusion,
        "counts": result.confusion.counts.tolist(),
        "worst_keys": [
            (f"rgb({red} {green} {blue})", text) for (blue, green, red), text in run.KEYS.items()
        ],
        "worst": [
            (path.name, row.text,
             base64.b64encode(encode_jpeg(image, quality=PICTURE_QUALITY)).decode("ascii"))
            for row, path, image in pictures.worst(measured, model=number, side_px=PICTURE_SIDE_PX)
        ],
    }  # fmt: skip


def _curves(result: Evaluation) -> tuple[Markup, list[tuple[str, str]]]:
    """Return precision over recall: each class thin and their mean bold; and what is which."""
    lines, keys = [], []
    for number, (label, curve) in enumerate(result.curves.items()):
        color = plot.color(number)
        lines.append(plot.Line(_points(curve["precision"]), color, width_pt=1, opacity=0.6))
        keys.append((color, f"{label} {result.classes[label]['AP50']:.3f}"))
    mean = np.mean([curve["precision"] for curve in result.curves.values()], axis=0)
    lines.append(plot.Line(_points(mean), width_pt=2.5))
    named = keys if len(keys) <= NAMED_CURVES else []
    svg = plot.chart(lines, "recall", "precision", x_range=(0, 1), from_zero=True)
    return svg, [(plot.INK_OF_PAGE, f"mean AP50 {mean.mean():.3f}"), *named]


def _points(precision: Sequence[float]) -> list[tuple[float, float]]:
    return list(zip(np.linspace(0, 1, len(precision)), precision, strict=True))
