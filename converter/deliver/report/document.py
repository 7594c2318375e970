"""The report for people, HTML and Markdown of the same sections, and for machines."""

from __future__ import annotations

import base64
import math
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from converter.deliver.report import sections
from converter.judge.gate import PASSES, REFUSED
from converter.judge.gate import as_json as bill_json
from converter.quantize.islands import islands_of
from edge.pages import page

if TYPE_CHECKING:
    from converter.deliver.report.contents import LayerFeatures, Picture, Report, Variant

SCHEMA_VERSION = 2
TEMPLATES = "converter.deliver.report"
# What means something to Markdown: anywhere, or at a line's start.
SPECIAL = re.compile(r"[\\`*_{}\[\]!~^$]|^[#+=-]")
# What means something to the HTML within Markdown, or ends a table's cell.
MARKUP = re.compile(r"[<>&|]")


def content(report: Report) -> dict[str, Any]:
    """Return what HTML and Markdown both show."""
    return {
        "kind": {PASSES: "good", REFUSED: "bad"}.get(report.subject.verdict.value, "unsure"),
        "name": report.subject.quantized.description.name,
        "verdict": sections.verdict(report),
        "sentences": sections.sentences(report),
        "sections": list(sections.sections(report)),
        "origin": sections.origin(report),
    }


def as_html(said: dict[str, Any]) -> str:
    """Return the content as one page that loads nothing from elsewhere."""
    return page.render("report.html", package=TEMPLATES, url=_url, **said)


def as_markdown(said: dict[str, Any]) -> str:
    """Return the content with links to the files beside it; text of strangers is escaped."""
    return page.render("report.md", package=TEMPLATES, md=escape_markdown, **said)


def _url(picture: Picture) -> str:
    kind = "png" if picture.file_name.endswith(".png") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture.data).decode('ascii')}"


def escape_markdown(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line."""
    line = " ".join(page.clean(text).split())
    escaped = SPECIAL.sub(lambda found: f"\\{found[0]}", line)
    return MARKUP.sub(lambda found: f"&#{ord(found[0])};", escaped)


def as_json(report: Report) -> dict[str, Any]:
    """Return the report ready for JSON; a ratio without noise, infinite, is `null`."""
    subject = report.subject
    quantized = subject.quantized.own_manifest()
    fields = {
        "schema_version": SCHEMA_VERSION,
        "model": {
            "name": quantized.name,
            "head": quantized.head.kind,
            "input_wh": list(quantized.input.size_wh),
            "float_digest": subject.reference.description.digest,
            "quantized_digest": quantized.digest,
        },
        "verdict": subject.verdict.value,
        "reasons": list(subject.verdict.reasons),
        "warnings": list(report.warnings),
        "budget": {
            "tolerance": subject.budget.times(subject.bill.head),
            "accuracy_loss": subject.budget.accuracy_loss,
        },
        "bill": bill_json(subject.bill, subject.budget),
        "islands": islands_of(subject.quantized, subject.recipe) if subject.recipe else None,
        "variants": [_variant(variant) for variant in report.variants],
        "images": [{**asdict(row), "path": row.path.name} for row in subject.bill.images],
        "layers": [asdict(layer) for layer in report.layers],
        "features": {
            "images": report.watched,
            "drawn": list(report.drawn),
            "layers": [_channels(layer) for layer in report.features],
        },
        "pictures": [
            {"file": picture.file_name, "caption": picture.caption} for picture in report.pictures()
        ],
        "attempts": _attempts(report),
        "calibration": quantized.calibration and quantized.calibration.plain(),
        "image_sets": {
            name: {"digest": one.digest, "images": one.images}
            for name, one in quantized.image_sets.items()
        },
        "provenance": quantized.provenance.plain(),
        "host": report.host,
        "elapsed_s": report.elapsed_s,
    }
    return {name: _finite(value) for name, value in fields.items()}


def _variant(variant: Variant) -> dict[str, Any]:
    bill = variant.bill
    return {
        "name": variant.name,
        "recipe": variant.recipe,
        "digest": variant.digest,
        "size_bytes": variant.size_bytes,
        "latency": asdict(variant.latency),
        "distance": bill and bill.likeness.distance,
        "matched": bill and bill.matched,
        "expected": bill and bill.expected,
        "extra": bill and bill.extra,
        "heads": [asdict(row) for row in bill.heads] if bill else [],
        "accuracy": [asdict(row) for row in bill.accuracy] if bill else [],
    }


def _channels(layer: LayerFeatures) -> dict[str, Any]:
    return {
        "name": layer.name,
        "op": layer.op,
        "channels": len(layer.spans),
        "dead": list(layer.dead),
        "weak": list(layer.weak),
    }


def _attempts(report: Report) -> list[dict[str, Any]]:
    subject = report.subject
    return [
        {
            "what": attempt.what,
            "recipe": attempt.recipe.plain(),
            "chosen": number == subject.chosen,
            "bill": attempt.bill and bill_json(attempt.bill, subject.budget),
            "fault": attempt.fault,
            "elapsed_s": round(attempt.elapsed_s, 2),
        }
        for number, attempt in enumerate(subject.attempts)
    ]


def _finite(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
