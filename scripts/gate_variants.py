"""Good and damaged int8 variants of a float model, for `scripts/gate_table`; kept in a folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from calibration.ranges import Range
from converter import export
from converter.graph.edits import with_values
from converter.graph.reading import read
from converter.graph.writing import write
from converter.quantize.observations import Observations
from converter.quantize.quantization import quantize_observed
from converter.quantize.recipe import load_recipe
from converter.quantize.repairs.weights import convolutions
from edge.decode.segmentation import SegmentationHead
from edge.model import model_file
from edge.model.model_file import ModelFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from calibration.dataset import ImageSet
    from converter.quantize.recipe import Recipe

ALL_REPAIRS = ("equalisation", "adaptive_rounding", "bias_correction")
# Bits of the weights.
FEWER_BITS = (6, 5)
# Mean and std of an input that was trained on another range.
RANGES = {"0..1": (0.0, 255.0), "-1..1": (127.5, 127.5)}


@dataclass(frozen=True, slots=True)
class Variant:
    """A model made of the float one.

    Attributes:
        is_damaged: Something was done to it that nobody would want.
    """

    name: str
    file: ModelFile
    is_damaged: bool


class OneScale(Observations):
    """What boxes and scores on one scale would take: a single range for all outputs."""

    def ranges(self, calibrator: str, *, equalised: bool) -> dict[str, Range]:
        """Return the range of each tensor."""
        found = super().ranges(calibrator, equalised=equalised)
        outputs = list(self.file.description.outputs.values())
        ends = [found[name] for name in outputs]
        joint = Range(min(end.min for end in ends), max(end.max for end in ends))
        return {**found, **dict.fromkeys(outputs, joint)}


def variants(reference: ModelFile, images: ImageSet, *, stem: Path) -> Iterator[Variant]:
    """Yield the variants; those that take long are read from `STEM.NAME.tflite` if they are there.

    Args:
        reference: The float model.
        images: To calibrate with.
        stem: Of the files.
    """
    observations = Observations(reference, images)
    plain = load_recipe("int8")
    unscaled = plain.replace(score_floor=0.0)
    good = {
        "int8": plain,
        "int8, mse": plain.replace(calibrator="mse"),
        "int8, all repairs": plain.replace(repairs=ALL_REPAIRS),
    }
    first = None
    for name, recipe in good.items():
        file = _kept(stem, name, lambda recipe=recipe: quantize_observed(observations, recipe))
        first = first or file
        yield Variant(name, file, is_damaged=False)
    for bits in FEWER_BITS:
        name = f"{bits}-bit weights"
        yield Variant(
            name,
            _kept(stem, name, lambda b=bits: _coarse(reference, images, b, plain)),
            is_damaged=True,
        )
    if not isinstance(reference.description.head, SegmentationHead):
        name = "one scale"
        file = _kept(stem, name, lambda: quantize_observed(OneScale(reference, images), unscaled))
        yield Variant(name, file, is_damaged=True)
    yield from _fed_otherwise(first)


def _kept(stem: Path, name: str, make: object) -> ModelFile:
    path = stem.with_name(f"{stem.name}.{name.replace(' ', '_').replace(',', '')}.tflite")
    if not path.is_file():
        export.write(make(), path)
    return model_file.read(path)


def _coarse(reference: ModelFile, images: ImageSet, bits: int, recipe: Recipe) -> ModelFile:
    """Quantise the model whose weights have so many bits, one scale a channel."""
    graph = read(reference.flatbuffer, reference.path)
    most = 2 ** (bits - 1) - 1
    values = {}
    for layer in convolutions(graph):
        scales = np.abs(layer.weights).max(axis=layer.shared_axes, keepdims=True) / most
        scales[scales == 0] = 1
        values |= layer.values(weights=np.round(layer.weights / scales) * scales)
    coarse = replace(reference, flatbuffer=write(with_values(graph, values)))
    sealed = export.sealed(coarse, reference.own_manifest())
    return quantize_observed(Observations(sealed, images), recipe)


def _fed_otherwise(file: ModelFile) -> Iterator[Variant]:
    """Yield the model with swapped colours, and with the range of another one's training."""
    transform = file.description.input
    other = "bgr" if transform.color == "rgb" else "rgb"
    mean, std = RANGES["0..1" if transform.mean[0] or transform.std[0] == 1 else "-1..1"]
    changes = {
        "swapped colours": {"color": other},
        "another range": {"mean": (mean,) * 3, "std": (std,) * 3},
    }
    for name, change in changes.items():
        fed = file.own_manifest().replace(input=transform.replace(**change))
        changed = ModelFile.of(file.path, file.flatbuffer, fed, anchors=file.description.anchors)
        yield Variant(name, changed, is_damaged=True)
