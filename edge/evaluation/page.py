"""A measurement as one page of HTML that needs nothing but itself, and its worst images."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.benchmark import host
from edge.benchmark.report import host_facts
from edge.draw.jpeg import encode_jpeg
from edge.errors import SinkError
from edge.evaluation import report
from edge.evaluation.images import read_image
from edge.pages import page, plot

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from markupsafe import Markup
    from numpy.typing import NDArray

    from edge.evaluation.evaluation import Evaluation, Mistakes
    from edge.evaluation.measuring import Measurement

# A larger matrix fits no screen; its most frequent mistakes do.
MATRIX_NAMES = 25
# More curves than colours are told apart by nobody.
NAMED_CURVES = len(plot.COLORS)
# 12 images of 480 px are some 300 kB of page.
PICTURE_SIDE_PX = 480
PICTURE_QUALITY = 75
WORST_COUNT = 12
JPEG_QUALITY = 88
LEGEND = (
    "boxes: green found, orange missed, red false alarm, pink of another label; masks: red wrong, "
    "black not judged"
)


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
            for row, path, image in worst(measured, model=number, side_px=PICTURE_SIDE_PX)
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


def write_worst(measured: Measurement, folder: Path, *, model: int = 0) -> list[Path]:
    """Write the worst images of one model as JPEG, the worst first, and return their paths.

    What the colours mean is in `LEGEND`.
    """
    paths = []
    for place, (_, source, image) in enumerate(worst(measured, model=model), start=1):
        paths.append(path := folder / f"{place:02d}-{source.stem}.jpg")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_jpeg(image, quality=JPEG_QUALITY))
        except OSError as error:
            reason = error.strerror or str(error)
            raise SinkError(
                f"{path}: cannot be written: {reason}; choose another folder"
            ) from error
    return paths


def worst(
    measured: Measurement, *, model: int, side_px: int | None = None
) -> Iterator[tuple[Mistakes, Path, NDArray[np.uint8]]]:
    """Yield what went wrong, the image's path, and the image with that drawn on it, `(H, W, 3)`.

    Args:
        measured: Of `edge.evaluation.measuring.measure`.
        model: Which of the models.
        side_px: Of the longer side at most; `None` leaves images as they are.
    """
    for row in measured.evaluations[model].mistakes[:WORST_COUNT]:
        path = measured.files[row.key]
        yield row, path, measured.runs[model].drawn(row.key, read_image(path), side_px)
