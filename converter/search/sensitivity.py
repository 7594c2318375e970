"""Which layers of a quantised model do the damage."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from converter.graph.edits import free_name, insert_after, with_values
from converter.graph.reading import read
from converter.graph.values import Op, Quantisation, Tensor
from converter.quantize.repairs.weights import SHARED_AXES, channel_scales, convolutions
from converter.quantize.running import prepared, tapped
from edge.model.quant import Quant

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.graph.values import Graph
    from edge.model.model_file import ModelFile
    from edge.terminal.progress import Progress

# Runs of the whole float model for each layer: the ranking of a hundred layers settles with few.
IMAGES = 4
# Of how many levels half of the weights may be off: rounding moves them by half of one or so.
MAX_MEDIAN_LEVELS = 2.0
INT8_ENDS = np.array([-128, 127], np.int8)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LayerError:
    """One layer of a quantised model against the float model.

    Attributes:
        name: Of the tensor that it computes, in both models.
        op: Its kind, such as `CONV_2D`.
        snr_db: Of that tensor where this layer alone is quantised, weights and output: power of
            the float one over that of the difference.
        share: Of the squared error at the outputs that the layers cause when each is quantised
            alone, the ratio that is this one's; all shares add up to 1.
    """

    name: str
    op: str
    snr_db: float
    share: float


# Two models, the images, and what was quantised: none hides in a bundle.
def layer_errors(
    reference: ModelFile,
    quantized: ModelFile,
    images: Sequence[Path],
    *,
    base: Graph | None = None,
    progress: Progress | None = None,
) -> tuple[LayerError, ...]:
    """Quantise one layer at a time, as the quantised model has it, and say what that costs.

    The layer's weights are those of the quantised model and its output takes its levels; the rest
    stays float.

    Args:
        reference: The float model.
        quantized: Made of it.
        images: The first `IMAGES` are run.
        base: The float model that was quantised, where equalisation changed it.
        progress: Called with (layers done, layers).

    Returns:
        The layers that the quantised model has in int8, in the order of the float model. None, with
        a warning, where the weights are another float model's: the equalised one was quantised.
    """
    base = base or read(reference.flatbuffer, reference.path)
    inputs = prepared(images[:IMAGES], reference.description.input)
    levels, weights = _int8_of(read(quantized.flatbuffer, quantized.path))
    if not _are_of(base, weights):
        _log.warning(
            "%s: its layers cannot be compared one by one: its channels were equalised before they "
            "were quantised; edge-convert run reports them as it converts", quantized.path,
        )  # fmt: skip
        return ()
    rows = [(op.output, op.kind) for op in base.ops if op.output in levels]
    names = (*base.outputs, *(name for name, _ in rows))
    wanted = dict(zip(names, _stacked(base, names, inputs), strict=True))
    spans = [levels.get(end) for end in base.outputs]
    costs, snrs = [], []
    for done, (name, _) in enumerate(rows, start=1):
        watched = replace(base, outputs=(*base.outputs, name))
        changed = _quantised_layer(watched, name, levels[name], weights=weights.get(name))
        found = _stacked(changed, changed.outputs, inputs)
        ends = zip(base.outputs, found[:-1], spans, strict=True)
        costs.append(sum(_noise_ratio(wanted[end], value, span) for end, value, span in ends))
        # What shares an output's levels is saturated on purpose, as it is.
        span = levels[name] if levels[name] in spans else None
        snrs.append(_decibels(_noise_ratio(wanted[name], found[-1], span)))
        if progress:
            progress(done, len(rows))
    total = sum(costs) or 1.0
    return tuple(
        LayerError(name, kind, snr, cost / total)
        for (name, kind), snr, cost in zip(rows, snrs, costs, strict=True)
    )


def _are_of(graph: Graph, weights: dict[str, NDArray[np.float32]]) -> bool:
    """Return whether int8 weights are those of the float model; most are, of any way to round."""
    for layer in convolutions(graph):
        found = weights.get(layer.name)
        if found is None:
            continue
        scales = channel_scales(layer.weights, layer.shared_axes)
        if float(np.median(np.abs(found - layer.weights) / scales)) > MAX_MEDIAN_LEVELS:
            return False
    return True


def _quantised_layer(
    base: Graph, name: str, levels: Quant, *, weights: NDArray[np.float32] | None
) -> Graph:
    """Return the graph in which one layer has these weights and its output these levels."""
    for layer in convolutions(base) if weights is not None else ():
        if layer.name == name:
            base = with_values(base, layer.values(weights=weights))
    return with_rounded(base, name, levels)


def with_rounded(graph: Graph, name: str, levels: Quant) -> Graph:
    """Return the graph in which all that reads a tensor reads it rounded; an output is it, too."""
    shape = graph.shape(name)
    scales, zeros = np.array([levels.scale], np.float32), np.array([levels.zero_point])
    whole = Tensor(
        free_name(graph, f"{name}/levels"), shape, "int8", quantisation=Quantisation(scales, zeros)
    )
    rounded = Tensor(free_name(graph, f"{name}/rounded"), shape)
    ops = (
        Op("QUANTIZE", (name,), (whole.name,)),
        Op("DEQUANTIZE", (whole.name,), (rounded.name,)),
    )
    return insert_after(graph, name, ops, tensors=(whole, rounded))


def _stacked(
    graph: Graph, names: Sequence[str], inputs: Sequence[list[NDArray[np.float32]]]
) -> list[NDArray[np.float32]]:
    """Return some tensors over all inputs, each `(images, ...)`."""
    return [np.stack(rows) for rows in zip(*tapped(graph, names, inputs, threads=1), strict=True)]


def _int8_of(graph: Graph) -> tuple[dict[str, Quant], dict[str, NDArray[np.float32]]]:
    """Return the levels of a quantised model's computed tensors, and its convolutions' weights.

    Both by the name of the tensor that is computed, the weights as real values.
    """
    levels: dict[str, Quant] = {}
    weights: dict[str, NDArray[np.float32]] = {}
    for op in graph.ops:
        tensor = graph.tensors[op.output]
        found = tensor.quantisation
        if tensor.dtype != "int8" or found is None:
            continue
        levels[tensor.name] = Quant(float(found.scales[0]), int(found.zero_points[0]))
        if op.kind in SHARED_AXES:
            weights[tensor.name] = graph.tensors[op.inputs[1]].numbers
    return levels, weights


def _noise_ratio(
    reference: NDArray[np.float32], found: NDArray[np.float32], levels: Quant | None
) -> float:
    """Return the power of the difference over that of the reference, both within the levels."""
    if levels is not None:
        ends = levels.dequantize(INT8_ENDS)
        reference, found = (np.clip(x, *ends) for x in (reference, found))
    power = float(np.square(reference, dtype=np.float64).sum())
    noise = float(np.square(found - reference, dtype=np.float64).sum())
    return noise / power if power else 0.0


def _decibels(noise_ratio: float) -> float:
    return -10 * math.log10(noise_ratio) if noise_ratio else math.inf
