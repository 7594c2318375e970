"""The report's tables, as text: what HTML and Markdown both show."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from converter.judge.bill import MIB, SEGMENTATION

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from converter.deliver.report.contents import LayerFeatures, Report, Variant
    from converter.judge.bill import Bill, Loss

WORST_LAYERS = 10
LISTED_CHANNELS = 12
NAME_COLUMNS = 44
NONE = "n/a"


@dataclass(frozen=True, slots=True)
class Table:
    """Headers and rows of as many cells; of kind `cards` each row is a block on a telephone."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    kind: str = "cards"


def variants(report: Report) -> Table:
    """Return size, latency and accuracy of each kind of numbers, side by side."""
    reference = report.variants[0]
    metrics = [row.metric for row in report.subject.bill.judged]
    return Table(
        ("model", "size, MiB", "of float", "invoke, ms", "speed", "distance", *metrics),
        [
            (
                variant.name,
                f"{variant.size_bytes / MIB:.2f}",
                f"{variant.size_bytes / reference.size_bytes:.0%}",
                _latency(variant),
                f"{reference.latency.median_ms / variant.latency.median_ms:.2f}x",
                _distance(variant.bill),
                *(_accuracy(report, variant, metric) for metric in metrics),
            )
            for variant in report.variants
        ],
    )


def accuracies(report: Report) -> Table:
    """Return every metric of each kind of numbers against labels, with its interval."""
    return Table(
        ("model and metric", "float", "value", "difference", "95 % interval", "images"),
        [
            (
                f"{variant.name}, {row.metric}",
                f"{row.reference:.4f}",
                f"{row.candidate:.4f}",
                f"{row.difference:+.4f}",
                _interval(row),
                str(row.images),
            )
            for variant in report.variants
            if variant.bill
            for row in variant.bill.accuracy
        ],
    )


def heads(report: Report) -> Table:
    """Return how far each raw output is from the float model's."""
    return Table(
        ("output", "cosine", "SNR, dB", "greatest error"),
        [
            (row.role, f"{row.cosine:.5f}", _decibels(row.snr_db), f"{row.max_error:.3g}")
            for row in report.subject.bill.heads
        ],
        kind="",
    )


def worst_layers(report: Report) -> Table:
    """Return the layers that cause most of the error."""
    worst = sorted(report.layers, key=lambda layer: -layer.share)[:WORST_LAYERS]
    return Table(
        ("layer", "op", "share of error", "SNR, dB"),
        [
            (short_name(layer.name), layer.op, f"{layer.share:.1%}", _decibels(layer.snr_db))
            for layer in worst
        ],
    )


def dead_channels(layers: Iterable[LayerFeatures]) -> Table:
    """Return the convolutions with dead or weak channels."""
    return Table(
        ("layer", "op", "channels", "dead", "weak", "which are dead"),
        [
            (
                short_name(layer.name),
                layer.op,
                str(len(layer.spans)),
                str(len(layer.dead)),
                str(len(layer.weak)),
                _listed(layer.dead),
            )
            for layer in layers
            if layer.dead or layer.weak
        ],
    )


def attempts(report: Report) -> Table:
    """Return what was tried, in that order."""
    subject = report.subject
    return Table(
        ("tried", "recipe", "distance", "time, s", "good enough"),
        [
            (
                attempt.what,
                attempt.recipe.name,
                _distance(attempt.bill),
                f"{attempt.elapsed_s:.1f}",
                ("chosen, " if number == subject.chosen else "") + (attempt.fault or "yes"),
            )
            for number, attempt in enumerate(subject.attempts)
        ],
    )


def short_name(tensor: str) -> str:
    """Return what of a tensor's name a person needs; report.json has the whole.

    TensorFlow's converter joins the names of fused ops with semicolons, the result's first.
    """
    first = tensor.partition(";")[0]
    return first if len(first) <= NAME_COLUMNS else f"…{first[1 - NAME_COLUMNS :]}"


def _listed(channels: Sequence[int]) -> str:
    shown = ", ".join(map(str, channels[:LISTED_CHANNELS]))
    more = len(channels) - LISTED_CHANNELS
    return (f"{shown} and {more} more" if more > 0 else shown) or NONE


def _decibels(snr_db: float) -> str:
    return "no error" if math.isinf(snr_db) else f"{snr_db:.1f}"


def _latency(variant: Variant) -> str:
    latency = variant.latency
    return f"{latency.median_ms:.2f} ({latency.low_ms:.2f} to {latency.high_ms:.2f})"


def _distance(bill: Bill | None) -> str:
    if bill is None:
        return NONE
    found = f"{bill.likeness.distance:.3f}"
    if bill.head == SEGMENTATION:
        return found
    return f"{found} ({bill.matched} of {bill.expected} found again)"


def _accuracy(report: Report, variant: Variant, metric: str) -> str:
    if variant.bill is None:
        rows = report.subject.bill.accuracy
        return next(f"{row.reference:.4f}" for row in rows if row.metric == metric)
    found = [row for row in variant.bill.accuracy if row.metric == metric]
    return f"{found[0].candidate:.4f} [{_interval(found[0])}]" if found else NONE


def _interval(row: Loss) -> str:
    low, high = row.interval
    return f"{low:+.4f} to {high:+.4f}"
