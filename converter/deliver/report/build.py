"""Take every figure and picture of a report."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibration.dataset import image_set
from converter import export
from converter.conversion import judge
from converter.deliver.report.features import choose_layers, observe_features
from converter.deliver.report.pictures import choose_images, draw_layer, draw_side_by_side
from converter.judge.gate import as_json as bill_json
from converter.judge.gate import finite
from converter.judge.latency import measure
from converter.quantize.islands import islands_of, remarks
from converter.quantize.quantization import quantize_file
from converter.quantize.recipe import load_recipe
from converter.search.sensitivity import layer_errors
from edge.benchmark import host
from edge.errors import EdgeError
from edge.terminal.progress import bar
from edge.terminal.version import versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from converter.conversion import Conversion
    from converter.deliver.report.features import LayerFeatures
    from converter.deliver.report.pictures import Picture
    from converter.judge.bill import Bill
    from converter.judge.latency import Latency
    from edge.model.model_file import ModelFile

SCHEMA_VERSION = 2
FLOAT, PRUNED = "float32", "float32, pruned"
# Beside the model that was asked for: neither takes a calibration, whatever the images.
OTHER_RECIPES = ("float16", "dynamic")
# Each takes a run of the plain kernels with every tensor kept, 0.1 to 0.5 s.
FEATURE_IMAGES = 8
# Of the float model's bytes: float16 takes half of them, dynamic a quarter.
UNCHANGED_RATIO = 0.95
# Of the bootstrap of the other kinds; 7 ms each and model, so a third of what the bill's takes.
RESAMPLES = 300
DRAWN_LAYERS = 4

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    """Everything.

    Attributes:
        fields: What `report.json` holds; docs/report.md describes it.
        pictures: As `fields["pictures"]` names them.
        norms: Name of a drawn layer to the norms of its filters, one a channel.
    """

    fields: dict[str, Any]
    pictures: tuple[Picture, ...]
    norms: dict[str, list[float]]


def build(done: Conversion, *, files: tuple[str, ...] = ()) -> Report:
    """Run the models for what the bill does not hold, and return the whole report.

    Args:
        done: The models and what judged them.
        files: Others that were made beside the model, a line each.

    Raises:
        ModelError: A model cannot be run.
        SourceError: An image cannot be read.
    """
    elapsed_s: dict[str, float] = {}
    with _timed(elapsed_s, "variants"):
        models, notes = _variants(done)
    others = list(models.values())[1:-1]
    with _timed(elapsed_s, "agreement"):
        made = judge(
            done.reference, others, done.judgement, budget=done.budget, resamples=RESAMPLES
        )
    with _timed(elapsed_s, "latency"), bar("latency", unit="windows") as progress:
        latencies = measure(models, progress=progress)
    images = done.judgement.images
    with _timed(elapsed_s, "layers"), bar("layers", unit="layers") as progress:
        layers = layer_errors(
            done.made_of, done.quantized, images, base=done.base, progress=progress
        )
    chosen = choose_images(done.bill)
    with _timed(elapsed_s, "pictures"), bar("pictures") as progress:
        pictures = draw_side_by_side(done, chosen, progress=progress)
    watched = list(dict.fromkeys((*(row.path for _, row in reversed(chosen)), *images)))
    watched = watched[:FEATURE_IMAGES]
    with _timed(elapsed_s, "features"), bar("features") as progress:
        features = observe_features(done.made_of, watched, progress=progress)
    drawn = choose_layers(features, count=DRAWN_LAYERS)
    for number, layer in enumerate(drawn, start=1):
        pictures += draw_layer(layer, number)
    rows = [
        _variant(name, file, latencies[name], bill=bill)
        for (name, file), bill in zip(models.items(), (None, *made, done.bill), strict=True)
    ]
    fields = {
        **_described(done),
        "warnings": [*(remarks(done.quantized, done.recipe) if done.recipe else ()), *notes],
        "files": list(files),
        "variants": rows,
        "layers": [asdict(layer) for layer in layers],
        "features": {
            "images": len(watched),
            "drawn": [layer.name for layer in drawn],
            "layers": [_channels(layer) for layer in features],
        },
        "pictures": [{"file": one.file_name, "caption": one.caption} for one in pictures],
        "host": _host(),
        "elapsed_s": elapsed_s,
    }
    norms = {layer.name: layer.norms.tolist() for layer in drawn}
    return Report(finite(fields), pictures, norms)


def _described(done: Conversion) -> dict[str, Any]:
    """Return what is known of a conversion without running it again."""
    manifest, bill = done.quantized.own_manifest(), done.bill
    return {
        "schema_version": SCHEMA_VERSION,
        "model": {
            "name": manifest.name,
            "head": manifest.head.kind,
            "input_wh": list(manifest.input.size_wh),
            "float_digest": done.reference.description.digest,
            "quantized_digest": manifest.digest,
        },
        "verdict": done.verdict.value,
        "reasons": list(done.verdict.reasons),
        "budget": {
            "tolerance": done.budget.times(bill.head),
            "accuracy_loss": done.budget.accuracy_loss,
        },
        "bill": bill_json(bill, done.budget),
        "islands": islands_of(done.quantized, done.recipe) if done.recipe else None,
        "dataset": done.judgement.dataset,
        "images": [{**asdict(row), "path": row.path.name} for row in bill.images],
        "attempts": [
            {
                "what": attempt.what,
                "recipe": attempt.recipe.plain(),
                "chosen": number == done.chosen,
                "bill": attempt.bill and bill_json(attempt.bill, done.budget),
                "fault": attempt.fault,
                "elapsed_s": round(attempt.elapsed_s, 2),
            }
            for number, attempt in enumerate(done.attempts)
        ],
        "calibration": manifest.calibration and manifest.calibration.plain(),
        "image_sets": {
            name: {"digest": one.digest, "images": one.images}
            for name, one in manifest.image_sets.items()
        },
        "provenance": manifest.provenance.plain(),
    }


def _variant(name: str, file: ModelFile, latency: Latency, *, bill: Bill | None) -> dict[str, Any]:
    return {
        "name": name,
        "recipe": "" if name == FLOAT else file.own_manifest().provenance.recipe,
        "digest": file.description.digest,
        "size_bytes": len(file.flatbuffer),
        "latency": asdict(latency),
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


def _host() -> dict[str, str]:
    """Return what the latency was measured on, by name."""
    found = host.describe()
    machine = {"cpu": found.cpu, "system": found.os, "python": found.python, "threads": "1"}
    return machine | versions(export.QUANTIZE_TOOLS)


@contextmanager
def _timed(elapsed_s: dict[str, float], part: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    elapsed_s[part] = round(time.monotonic() - started, 2)


def _variants(done: Conversion) -> tuple[dict[str, ModelFile], list[str]]:
    """Return the float model, it by the other recipes, and the result; and what is odd of them.

    Of a pruned model, the pruned float model stands between.
    """
    made: dict[str, ModelFile] = {PRUNED: done.source} if done.source else {}
    notes = []
    own = done.quantized.own_manifest().provenance.recipe
    for name in OTHER_RECIPES:
        if name == own:
            continue
        try:
            images = image_set(Path(), done.judgement.images, seed=done.judgement.seed)
            made[name] = quantize_file(done.made_of, images, load_recipe(name))
            if len(made[name].flatbuffer) > UNCHANGED_RATIO * len(done.made_of.flatbuffer):
                notes.append(f"{name} is no smaller than float: the quantiser found no weights")
        except EdgeError as error:
            notes.append(f"the table lacks {name}, which cannot be made: {error}")
            _log.warning("%s", notes[-1])
    return {FLOAT: done.reference, **made, own: done.quantized}, notes
