"""The report's tables, as text: what Markdown and HTML both show."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from converter.bill import MIB, SEGMENTATION
from converter.gate import JUDGED_METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from converter.bill import Bill
    from converter.report.contents import LayerFeatures, Report, Variant
    from edge.model.readers.manifest import Accuracy

WORST_LAYERS = 10
LISTED_CHANNELS = 12
NAME_COLUMNS = 44
NONE = "n/a"


@dataclass(frozen=True, slots=True)
class Table:
    """Headers and rows of as many cells.

    Attributes:
        numbers: Columns that hold numbers.
    """

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: range


def variants(report: Report) -> Table:
    """Return size, latency and accuracy of each kind of numbers, side by side."""
    reference = report.variants[0]
    accuracy = report.subject.bill.accuracy
    metrics = [row.metric for row in accuracy if row.metric in JUDGED_METRICS]
    agreement = "mask IoU" if report.subject.bill.head == SEGMENTATION else "agreement"
    return Table(
        ("model", "size, MiB", "of float", "invoke, ms", "speed", agreement, *metrics),
        tuple(
            (
                variant.name,
                f"{variant.size_bytes / MIB:.2f}",
                f"{variant.size_bytes / reference.size_bytes:.0%}",
                _latency(variant),
                f"{reference.latency.median_ms / variant.latency.median_ms:.2f}x",
                _agreement(variant.bill),
                *(_accuracy(report, variant, metric) for metric in metrics),
            )
            for variant in report.variants
        ),
        range(1, 6 + len(metrics)),
    )


def accuracies(report: Report) -> Table:
    """Return every metric of each kind of numbers against labels, with its interval."""
    return Table(
        ("model", "metric", "float", "value", "difference", "95 % interval", "images"),
        tuple(
            (
                variant.name,
                row.metric,
                f"{row.float_value:.4f}",
                f"{row.quantized_value:.4f}",
                f"{row.difference:+.4f}",
                _interval(row),
                str(row.images),
            )
            for variant in report.variants
            if variant.bill
            for row in variant.bill.accuracy
        ),
        range(2, 7),
    )


def heads(report: Report) -> Table:
    """Return how far each raw output is from the float model's."""
    return Table(
        ("output", "cosine", "SNR, dB", "greatest error"),
        tuple(
            (row.role, f"{row.cosine:.5f}", decibels(row.snr_db), f"{row.max_error:.3g}")
            for row in report.subject.bill.heads
        ),
        range(1, 4),
    )


def worst_layers(report: Report) -> Table:
    """Return the layers that cause most of the error."""
    worst = sorted(report.layers, key=lambda layer: -layer.share)[:WORST_LAYERS]
    return Table(
        ("layer", "op", "share of error", "SNR, dB"),
        tuple(
            (short_name(layer.name), layer.op, f"{layer.share:.1%}", decibels(layer.snr_db))
            for layer in worst
        ),
        range(2, 4),
    )


def dead_channels(report: Report) -> Table:
    """Return the convolutions with dead or weak channels."""
    return Table(
        ("layer", "op", "channels", "dead", "weak", "which are dead"),
        tuple(
            (
                short_name(layer.name),
                layer.op,
                str(len(layer.spans)),
                str(len(layer.dead)),
                str(len(layer.weak)),
                listed(layer.dead),
            )
            for layer in report.features.layers
            if layer.dead or layer.weak
        ),
        range(2, 5),
    )


def attempts(report: Report) -> Table:
    """Return what was tried, in that order."""
    subject = report.subject
    return Table(
        ("tried", "recipe", "agreement", "accuracy lost", "time, s", "verdict"),
        tuple(
            (
                attempt.what,
                attempt.recipe.name,
                _agreement(attempt.bill),
                _losses(attempt.bill.accuracy if attempt.bill else ()),
                f"{attempt.elapsed_s:.1f}",
                ("chosen, " if number == subject.chosen else "")
                + ("; ".join(attempt.faults) or "passes"),
            )
            for number, attempt in enumerate(subject.attempts)
        ),
        range(2, 5),
    )


def origin(report: Report) -> Table:
    """Return where everything comes from: digests, seeds, versions."""
    subject = report.subject
    described = subject.quantized.own_manifest()
    provenance, calibration = described.provenance, described.calibration
    rows = [
        ("name", described.name),
        ("source", provenance.source),
        ("licence", provenance.license),
        ("changes", provenance.changes),
        ("recipe", provenance.recipe),
        ("seed", str(provenance.seed)),
        ("float model", subject.reference.description.digest),
        ("quantised model", described.digest),
        ("judged on", f"{len(subject.bill.images)} held-back images of {subject.images.dataset}"),
    ]
    if calibration:
        rows += [
            ("calibration set", calibration.digest),
            (
                "calibration",
                f"{calibration.images} images, seed {calibration.seed}, {calibration.method}",
            ),
        ]
    rows += [("made beside it", line) for line in subject.files]
    rows += [(f"made with {name}", version) for name, version in provenance.tools.items()]
    rows += [(f"measured on {name}", value) for name, value in report.host.items()]
    return Table(("what", "which"), tuple(rows), range(0))


def short_name(tensor: str) -> str:
    """Return what of a tensor's name a person needs; report.json has the whole.

    TensorFlow's converter joins the names of fused ops with semicolons, the result's first.
    """
    first = tensor.partition(";")[0]
    return first if len(first) <= NAME_COLUMNS else f"…{first[1 - NAME_COLUMNS :]}"


def listed(channels: Iterable[int]) -> str:
    """Return channel numbers, the first few of many."""
    numbers = [str(channel) for channel in channels]
    more = f" and {len(numbers) - LISTED_CHANNELS} more" if len(numbers) > LISTED_CHANNELS else ""
    return ", ".join(numbers[:LISTED_CHANNELS]) + more or NONE


def decibels(snr_db: float) -> str:
    """Return a signal-to-noise ratio; an infinite one has no noise."""
    return "no error" if math.isinf(snr_db) else f"{snr_db:.1f}"


def dead_count(layers: Iterable[LayerFeatures]) -> tuple[int, int]:
    """Return the dead channels of some layers, and all their channels."""
    counts = [(len(layer.dead), len(layer.spans)) for layer in layers]
    return sum(dead for dead, _ in counts), sum(channels for _, channels in counts)


def _latency(variant: Variant) -> str:
    latency = variant.latency
    return f"{latency.median_ms:.2f} ({latency.low_ms:.2f} to {latency.high_ms:.2f})"


def _agreement(bill: Bill | None) -> str:
    if bill is None:
        return NONE
    if bill.head == SEGMENTATION:
        return f"{bill.agreement:.4f}"
    return f"{bill.agreement:.1%} ({bill.matched}/{bill.expected})"


def _accuracy(report: Report, variant: Variant, metric: str) -> str:
    if variant.bill is None:
        rows = report.subject.bill.accuracy
        return next(f"{row.float_value:.4f}" for row in rows if row.metric == metric)
    found = [row for row in variant.bill.accuracy if row.metric == metric]
    if not found:
        return NONE
    return f"{found[0].quantized_value:.4f} [{_interval(found[0])}]"


def _interval(row: Accuracy) -> str:
    low, high = row.difference_interval
    return f"{low:+.4f} to {high:+.4f}"


def _losses(rows: Iterable[Accuracy]) -> str:
    return ", ".join(f"{row.metric} {row.difference:+.4f}" for row in rows) or NONE
