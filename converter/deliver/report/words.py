"""The report's headings and sentences: what Markdown and HTML both say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converter.deliver.report.tables import dead_count, short_name
from converter.judge.bill import SEGMENTATION
from converter.judge.gate import estimate
from edge.evaluation import box_run, mask_run

if TYPE_CHECKING:
    from converter.deliver.report.contents import LayerFeatures, Report

COST = "What it costs"
ACCURACIES = "Against labels"
HEADS = "Raw outputs against the float model's"
SIDE_BY_SIDE = "Side by side"
LAYERS = "Error, layer by layer"
FEATURES = "Filters and feature maps"
TRIED = "What was tried"
ORIGIN = "Origin"
LAYERS_NOTE = (
    "Each layer alone is quantised, all others stay float. Signal to noise: of that layer's own "
    "output. Share: of the squared error that this makes at the model's outputs."
)
DEAD_NOTE = (
    "Dead: the channel's output spans at most a thousandth of what the median channel of its layer "
    "spans, over all these images. Weak: the norm of its weights is at most a hundredth of the "
    "median. Both are candidates for pruning; look at images of your own before you cut."
)


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


def cost_note(report: Report) -> str:
    """Return what the columns of the table of costs are."""
    bill = report.subject.bill
    runs = report.variants[-1].latency.invokes
    note = (
        f"One run. Invoke: the bare model on {report.host['cpu']}, {report.host['threads']} "
        f"thread, median and quartiles of interleaved windows, {runs} invokes of the last row. "
    )
    if bill.head == SEGMENTATION:
        what = "1 - mean IoU with the float model's masks, borders left out"
    else:
        what = (
            "1 - average precision, IoU 0.5 to 0.85, with the float model's detections as the truth"
        )
    note += (
        f"Distance: {what}, on {len(bill.images)} images; the float model is "
        f"{bill.likeness.floor:.3f} from itself when they move by a quarter of a pixel. "
    )
    if bill.accuracy:
        row = bill.accuracy[0]
        note += (
            f"Accuracy against labels on {row.images} images of {row.dataset}; in brackets the "
            "95 % bootstrap interval, over images, of the difference from float. "
            f"{box_run.NOTE if bill.head != SEGMENTATION else mask_run.NOTE}."
        )
    return note


def side_by_side_note(report: Report) -> str:
    """Return what the pictures show."""
    bill = report.subject.bill
    shown = (
        "class masks over the image"
        if bill.head == SEGMENTATION
        else "detections from the score threshold on, and the partners of those that the other has"
    )
    return f"Left the float model, right the quantised one: {shown}. The worst images come first."


def features_note(report: Report) -> str:
    """Return how many channels are dead."""
    features = report.features
    dead, channels = dead_count(features.layers)
    return (
        f"{dead} of {channels} channels of {len(features.layers)} convolutions are dead on "
        f"{features.image_count} images."
    )


def layer_heading(layer: LayerFeatures) -> str:
    """Return a layer's name, and how many of its channels are dead."""
    return (
        f"{short_name(layer.name)} ({layer.op}): {len(layer.dead)} of {len(layer.spans)} channels "
        f"dead, {len(layer.weak)} weak"
    )
