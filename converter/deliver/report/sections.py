"""What the report says: sections of sentences, tables, plots and pictures, in their order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from converter.deliver.report import tables
from converter.judge.bill import SEGMENTATION
from converter.judge.gate import estimate
from edge.evaluation import box_run, mask_run
from edge.pages import plot

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from markupsafe import Markup

    from converter.deliver.report.contents import Picture, Report
    from converter.deliver.report.tables import Table

# A layer without any error is drawn at this ratio: above what int8 can reach.
MOST_DB = 60.0
DEAD_NOTE = (
    "Dead: the channel's output spans at most a thousandth of what the median channel of its layer "
    "spans, over all these images. Weak: the norm of its weights is at most a hundredth of the "
    "median. Both are candidates for pruning; look at images of your own before you cut."
)


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it, in this order.

    Attributes:
        level: Of the heading, 2 or 3.
        plots: File name to a plot.
    """

    title: str
    notes: Sequence[str] = ()
    plots: dict[str, Markup] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    level: int = 2


def sections(report: Report) -> Iterator[Section]:
    """Yield the report's sections in their order."""
    yield Section("What it costs", [_cost_note(report)], tables=[tables.variants(report)])
    if report.subject.bill.accuracy:
        yield Section("Against labels", tables=[tables.accuracies(report)], level=3)
    yield Section("Raw outputs against the float model's", tables=[tables.heads(report)], level=3)
    yield Section("Side by side", [_side_by_side_note(report)], pictures=report.side_by_side)
    if report.layers:
        note = (
            "Each layer alone is quantised, all others stay float. Signal to noise: of that "
            "layer's own output. Share: of the squared error that this makes at the model's "
            f"outputs. Orange: the {tables.WORST_LAYERS} greatest shares."
        )
        plots, worst = layer_plots(report), [tables.worst_layers(report)]
        yield Section("Error, layer by layer", [note], plots, worst)
    yield from _features(report)
    if report.subject.attempts:
        yield Section("What was tried", tables=[tables.attempts(report)])


def verdict(report: Report) -> str:
    """Return the result in one sentence."""
    reference, own = report.variants[0], report.variants[-1]
    speed = reference.latency.median_ms / own.latency.median_ms
    bill = report.subject.bill
    word = report.subject.verdict.value.capitalize()
    labelled = "".join(
        f", {row.metric} {row.difference:+.4f} on {row.images} images" for row in bill.accuracy
    )
    ratio = own.size_bytes / reference.size_bytes
    return (
        f"{word}: {own.name} takes {ratio:.0%} of the float model's bytes, invokes {speed:.2f} "
        f"times as fast here, distance {bill.likeness.distance:.3f}{labelled}"
    )


def sentences(report: Report) -> list[str]:
    """Return why the verdict is what it is, what that means, and what is odd, a sentence each."""
    subject = report.subject
    said = [*subject.verdict.reasons, estimate(subject.bill), *report.warnings]
    return [sentence for sentence in said if sentence]


def origin(report: Report) -> list[tuple[str, str]]:
    """Return where everything comes from, by name: digests, seeds, versions."""
    subject = report.subject
    described = subject.quantized.own_manifest()
    provenance, calibration, sets = described.provenance, described.calibration, subject.sets
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
        how = f"{calibration.images} images, seed {calibration.seed}, {calibration.method}"
        rows += [("calibration set", calibration.digest), ("calibration", how)]
    if sets:
        others = f"{len(sets.select.paths)} others, and those that calibrated"
        rows.append(("chosen by", others))
    rows += [("made beside it", line) for line in subject.files]
    rows += [(f"made with {name}", version) for name, version in provenance.tools.items()]
    return rows + [(f"measured on {name}", value) for name, value in report.host.items()]


def layer_plots(report: Report) -> dict[str, Markup]:
    """Return bars a layer in the order in which they run: signal to noise, and share of error."""
    shares = np.array([layer.share for layer in report.layers])
    worst = set(np.argsort(-shares, kind="stable")[: tables.WORST_LAYERS].tolist())
    ratios = [max(0.0, min(layer.snr_db, MOST_DB)) for layer in report.layers]
    x = "layer, in the order in which they run"
    return {
        "layers-snr.svg": plot.bars(ratios, x, "signal to noise, dB", marked=worst),
        "layers-share.svg": plot.bars(
            (100 * shares).tolist(), x, "share of error, %", marked=worst
        ),
    }


def _features(report: Report) -> Iterator[Section]:
    layers = report.features
    dead = sum(len(layer.dead) for layer in layers)
    channels = sum(len(layer.spans) for layer in layers)
    note = (
        f"{dead} of {channels} channels of {len(layers)} convolutions are dead on "
        f"{report.watched} images."
    )
    found = tables.dead_channels(layers)
    yield Section(
        "Filters and feature maps", [note, DEAD_NOTE], tables=[found] if found.rows else []
    )
    by_name = {layer.name: layer for layer in layers}
    for number, (name, pictures) in enumerate(report.drawn.items(), start=1):
        layer = by_name[name]
        title = (
            f"{tables.short_name(name)} ({layer.op}): {len(layer.dead)} of {len(layer.spans)} "
            f"channels dead, {len(layer.weak)} weak"
        )
        bad = {*layer.dead, *layer.weak}
        norms = plot.bars(
            layer.norms.tolist(), "channel; orange: dead or weak", "norm of its weights", marked=bad
        )
        yield Section(title, (), {f"layer-{number}-norms.svg": norms}, (), pictures, level=3)


def _cost_note(report: Report) -> str:
    bill = report.subject.bill
    is_mask = bill.head == SEGMENTATION
    what = "mean IoU with the float model's masks, borders left out"
    if not is_mask:
        what = "average precision, IoU 0.5 to 0.85, with the float model's detections as the truth"
    note = (
        f"One run. Invoke: the bare model on {report.host['cpu']}, {report.host['threads']} "
        f"thread, median and quartiles of interleaved windows, "
        f"{report.variants[-1].latency.invokes} invokes of the last row. "
        f"Distance: 1 - {what}, on {len(bill.images)} images; the float model is "
        f"{bill.likeness.floor:.3f} from itself when they move by a quarter of a pixel. "
    )
    for row in bill.accuracy[:1]:
        note += (
            f"Accuracy against labels on {row.images} images of {row.dataset}; in brackets the "
            "95 % bootstrap interval, over images, of the difference from float. "
            f"{mask_run.NOTE if is_mask else box_run.NOTE}."
        )
    return note


def _side_by_side_note(report: Report) -> str:
    shown = (
        "class masks over the image"
        if report.subject.bill.head == SEGMENTATION
        else "detections from the score threshold on, and the partners of those that the other has"
    )
    return f"Left the float model, right the quantised one: {shown}. The worst images come first."
