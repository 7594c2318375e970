"""The report's tables, as text: what Markdown and HTML both show."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from converter.judge.bill import JUDGED_METRICS, MIB, SEGMENTATION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from converter.deliver.report.contents import LayerFeatures, Report, Variant
    from converter.judge.bill import Bill, Loss

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
    return Table(
        ("model", "size, MiB", "of float", "invoke, ms", "speed", "distance", *metrics),
        tuple(
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
                f"{row.reference:.4f}",
                f"{row.candidate:.4f}",
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
        ("tried", "recipe", "distance", "time, s", "good enough"),
        tuple(
            (
                attempt.what,
                attempt.recipe.name,
                _distance(attempt.bill),
                f"{attempt.elapsed_s:.1f}",
                ("chosen, " if number == subject.chosen else "") + (attempt.fault or "yes"),
            )
            for number, attempt in enumerate(subject.attempts)
        ),
        range(2, 4),
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
        *(("step", step) for step in provenance.steps or (provenance.changes,)),
        ("recipe", provenance.recipe),
        ("seed", str(provenance.seed)),
        ("float model", subject.reference.description.digest),
        ("quantised model", described.digest),
        ("judged on", f"{len(subject.bill.images)} images of {subject.judgement.dataset}"),
    ]
    if calibration:
        rows += [
            ("calibration set", calibration.digest),
            (
                "calibration",
                f"{calibration.images} images, seed {calibration.seed}, {calibration.method}",
            ),
        ]
    if subject.sets:
        rows.append(
            (
                "chosen by",
                f"{len(subject.sets.select.paths)} others, and those that calibrated",
            )
        )
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
    if not found:
        return NONE
    return f"{found[0].candidate:.4f} [{_interval(found[0])}]"


def _interval(row: Loss) -> str:
    low, high = row.interval
    return f"{low:+.4f} to {high:+.4f}"
