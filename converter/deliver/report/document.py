"""The report for machines: `report.json`, whose fields docs/report.md describes."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from converter.judge.gate import as_json as bill_json
from converter.quantize.islands import islands_of

if TYPE_CHECKING:
    from converter.deliver.report.contents import LayerFeatures, Report, Variant
    from converter.judge.bill import ImageRow

SCHEMA_VERSION = 2


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
        "images": [_image(row) for row in subject.bill.images],
        "layers": [asdict(layer) for layer in report.layers],
        "features": {
            "images": report.features.image_count,
            "drawn": list(report.features.drawn),
            "layers": [_features(layer) for layer in report.features.layers],
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


def _image(row: ImageRow) -> dict[str, Any]:
    return {**asdict(row), "path": row.path.name}


def _features(layer: LayerFeatures) -> dict[str, Any]:
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
