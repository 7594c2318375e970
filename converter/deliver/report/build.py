"""Take every figure and picture of a report."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from calibration.dataset import image_set
from converter import export
from converter.conversion import judge
from converter.deliver.report.contents import Report, Variant
from converter.deliver.report.features import choose_layers, observe_features
from converter.deliver.report.pictures import choose_images, draw_layer, draw_side_by_side
from converter.judge.latency import measure
from converter.quantize.islands import remarks
from converter.quantize.quantization import quantize_file
from converter.quantize.recipe import load_recipe
from converter.search.sensitivity import layer_errors
from edge.benchmark import host
from edge.errors import EdgeError
from edge.terminal.progress import bar
from edge.terminal.version import versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from converter.deliver.report.contents import Subject
    from converter.judge.bill import Bill
    from edge.model.model_file import ModelFile

FLOAT = "float32"
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


def build(subject: Subject) -> Report:
    """Run the models for what the bill does not hold, and return the whole report.

    Raises:
        ModelError: A model cannot be run.
        SourceError: An image cannot be read.
    """
    elapsed_s: dict[str, float] = {}
    own, images = subject.quantized.own_manifest().provenance.recipe, subject.judgement.images
    with _timed(elapsed_s, "variants"):
        others, notes = _other_variants(subject)
    files = {FLOAT: subject.reference, **others, own: subject.quantized}
    with _timed(elapsed_s, "agreement"):
        made = judge(
            subject.reference, list(others.values()), subject.judgement,
            budget=subject.budget, resamples=RESAMPLES,
        )  # fmt: skip
    bills: dict[str, Bill] = {**dict(zip(others, made, strict=True)), own: subject.bill}
    with _timed(elapsed_s, "latency"), bar("latency", unit="windows") as progress:
        latencies = measure(files, progress=progress)
    with _timed(elapsed_s, "layers"), bar("layers", unit="layers") as progress:
        layers = layer_errors(
            subject.reference, subject.quantized, images, base=subject.base, progress=progress
        )
    chosen = choose_images(subject.bill)
    with _timed(elapsed_s, "pictures"), bar("pictures") as progress:
        pictures = draw_side_by_side(subject, chosen, progress=progress)
    watched = list(dict.fromkeys((*(row.path for _, row in reversed(chosen)), *images)))
    with _timed(elapsed_s, "features"), bar("features") as progress:
        features = observe_features(subject.reference, watched[:FEATURE_IMAGES], progress=progress)
    return Report(
        subject=subject,
        variants=tuple(
            Variant(
                name=name,
                recipe="" if name == FLOAT else file.own_manifest().provenance.recipe,
                digest=file.description.digest,
                size_bytes=len(file.flatbuffer),
                latency=latencies[name],
                bill=bills.get(name),
            )
            for name, file in files.items()
        ),
        layers=layers,
        side_by_side=pictures,
        features=features,
        watched=len(watched[:FEATURE_IMAGES]),
        drawn={
            layer.name: draw_layer(layer, number)
            for number, layer in enumerate(choose_layers(features, count=DRAWN_LAYERS), start=1)
        },
        host=_host(),
        warnings=(*_remarks(subject), *notes),
        elapsed_s=elapsed_s,
    )


def _remarks(subject: Subject) -> list[str]:
    return remarks(subject.quantized, subject.recipe) if subject.recipe else []


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


def _other_variants(subject: Subject) -> tuple[dict[str, ModelFile], list[str]]:
    """Return the model by the other recipes, and what is odd of them, a sentence each."""
    made: dict[str, ModelFile] = {}
    notes = []
    for name in OTHER_RECIPES:
        if name == subject.quantized.own_manifest().provenance.recipe:
            continue
        try:
            images = image_set(Path(), subject.judgement.images, seed=subject.judgement.seed)
            file = quantize_file(subject.reference, images, load_recipe(name))
            made[name] = file
            if len(file.flatbuffer) > UNCHANGED_RATIO * len(subject.reference.flatbuffer):
                notes.append(f"{name} is no smaller than float: the quantiser found no weights")
        except EdgeError as error:
            notes.append(f"the table lacks {name}, which cannot be made: {error}")
            _log.warning("%s", notes[-1])
    return made, notes
