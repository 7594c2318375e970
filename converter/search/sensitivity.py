"""Which layers of a quantised model do the damage."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converter import flatbuffer as fb
from converter.inspect_graph import read_tables
from converter.quantize.repairs.weights import (
    SHARED_AXES,
    channel_scales,
    convolutions,
    set_convolution_inplace,
)
from converter.search.fake_quantization import Levels, round_tensor_inplace
from edge.capture.images import load_image
from edge.model.backends.litert import open_interpreter
from edge.model.quant import Quant
from edge.preprocess import Preprocessor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.model.model_file import ModelFile
    from edge.terminal.progress import Progress

# Runs of the whole float model for each layer: the ranking of a hundred layers settles with few.
IMAGES = 4
UNIT = Levels(1.0, 0)
# Of how many levels half of the weights may be off: rounding moves them by half of one or so.
MAX_MEDIAN_LEVELS = 2.0

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
    twin: bytes | None = None,
    progress: Progress | None = None,
) -> tuple[LayerError, ...]:
    """Quantise one layer at a time, as the quantised model has it, and say what that costs.

    The layer's weights are those of the quantised model and its output takes its levels; the rest
    stays float.

    Args:
        reference: The float model.
        quantized: Made of it.
        images: The first `IMAGES` are run.
        twin: The float model that was quantised, where equalisation changed it; a bare FlatBuffer.
        progress: Called with (layers done, layers).

    Returns:
        The layers that the quantised model has in int8, in the order of the float model. None, with
        a warning, where the weights are another float model's: its equalised twin was quantised.
    """
    base = twin or reference.flatbuffer
    inputs = _inputs(reference, images[:IMAGES])
    levels, weights = _int8_of(quantized.flatbuffer)
    if not _are_of(base, weights):
        _log.warning(
            "%s: its layers cannot be compared one by one: its channels were equalised before they "
            "were quantised; edge-convert run reports them as it converts", quantized.path,
        )  # fmt: skip
        return ()
    tables = read_tables(base, reference.path)
    rows = [(tables.tensors[op.outputs[0]].name, op.kind) for op in tables.ops]
    rows = [(name, kind) for name, kind in rows if name in levels]
    ends = [tables.tensors[index].name for index in tables.outputs]
    wanted = _run(_Changed(base), inputs, [*ends, *(name for name, _ in rows)])
    costs, snrs = [], []
    for done, (name, _) in enumerate(rows, start=1):
        found = _run(_Changed(base, name, levels[name], weights.get(name)), inputs, [*ends, name])
        spans = [levels.get(end) for end in ends]
        noise = [_noise_ratio(wanted[e], found[e], s) for e, s in zip(ends, spans, strict=True)]
        costs.append(sum(noise))
        # What shares an output's levels is saturated on purpose, as it is.
        span = levels[name] if levels[name] in spans else None
        snrs.append(_decibels(_noise_ratio(wanted[name], found[name], span)))
        if progress:
            progress(done, len(rows))
    total = sum(costs) or 1.0
    return tuple(
        LayerError(name, kind, snr, cost / total)
        for (name, kind), snr, cost in zip(rows, snrs, costs, strict=True)
    )


def _are_of(flatbuffer: bytes, weights: dict[str, NDArray[np.float32]]) -> bool:
    """Return whether int8 weights are those of the float model; most are, of any way to round."""
    for layer in convolutions(fb.unpack(flatbuffer)):
        found = weights.get(layer.name)
        if found is None:
            continue
        scales = channel_scales(layer.weights, SHARED_AXES[layer.kind])
        if float(np.median(np.abs(found - layer.weights) / scales)) > MAX_MEDIAN_LEVELS:
            return False
    return True


@dataclass(frozen=True, slots=True)
class _Changed:
    """A float model, one layer of which is quantised if it has a name."""

    base: bytes
    layer: str = ""
    levels: Levels = UNIT
    weights: NDArray[np.float32] | None = None

    def with_outputs(self, names: Sequence[str]) -> bytes:
        """Return the FlatBuffer whose outputs are these tensors, the layer's after rounding."""
        model = fb.unpack(self.base)
        graph = model.subgraphs[0]
        index = {tensor.name.decode(): number for number, tensor in enumerate(graph.tensors)}
        for convolution in convolutions(model) if self.weights is not None else ():
            if convolution.name == self.layer:
                set_convolution_inplace(model, convolution, weights=self.weights)
        if self.layer:
            index[self.layer] = round_tensor_inplace(model, index[self.layer], self.levels)
        graph.outputs = np.array([index[name] for name in names], np.int32)
        model.signatureDefs = []
        return fb.pack(model)


def _run(
    changed: _Changed, inputs: Sequence[NDArray[np.float32]], names: Sequence[str]
) -> dict[str, NDArray[np.float32]]:
    """Return the tensors over all inputs, `(images, ...)`, by name."""
    unique = list(dict.fromkeys(names))
    flatbuffer = changed.with_outputs(unique)
    runtime = open_interpreter(flatbuffer, Path("float model"), threads=1)
    source = runtime.get_input_details()[0]["index"]
    targets = [detail["index"] for detail in runtime.get_output_details()]
    rows: list[list[NDArray[np.float32]]] = []
    for values in inputs:
        runtime.set_tensor(source, values)
        runtime.invoke()
        rows.append([runtime.get_tensor(index) for index in targets])
    columns = zip(*rows, strict=True)
    return {name: np.stack(column) for name, column in zip(unique, columns, strict=True)}


def _inputs(reference: ModelFile, images: Sequence[Path]) -> list[NDArray[np.float32]]:
    transform = reference.description.input
    preprocessor = Preprocessor(transform, quant=Quant(), dtype=np.dtype(np.float32))
    width, height = transform.size_wh
    buffers = [np.zeros((1, height, width, 3), np.float32) for _ in images]
    for path, buffer in zip(images, buffers, strict=True):
        preprocessor.fill_input(load_image(path), buffer)
    return buffers


def _int8_of(flatbuffer: bytes) -> tuple[dict[str, Levels], dict[str, NDArray[np.float32]]]:
    """Return the levels of a quantised model's computed tensors, and its convolutions' weights.

    Both by the name of the tensor that is computed, the weights as real values.
    """
    model = fb.unpack(flatbuffer)
    graph = model.subgraphs[0]
    levels: dict[str, Levels] = {}
    weights: dict[str, NDArray[np.float32]] = {}
    for op in graph.operators:
        tensor = graph.tensors[int(op.outputs[0])]
        if tensor.type != schema.TensorType.INT8 or tensor.quantization is None:
            continue
        name = tensor.name.decode()
        found = tensor.quantization
        levels[name] = Levels(float(found.scale[0]), int(found.zeroPoint[0]))
        if model.operatorCodes[op.opcodeIndex].builtinCode in SHARED_AXES:
            weights[name] = _real_weights(model, graph.tensors[int(op.inputs[1])])
    return levels, weights


def _real_weights(model: Any, tensor: Any) -> NDArray[np.float32]:  # noqa: ANN401
    data = bytes(model.buffers[tensor.buffer].data)
    levels = np.frombuffer(data, np.int8).reshape(tensor.shape).astype(np.float32)
    shape = [1] * len(tensor.shape)
    shape[tensor.quantization.quantizedDimension] = -1
    real: NDArray[np.float32] = levels * np.asarray(tensor.quantization.scale).reshape(shape)
    return real


def _noise_ratio(
    reference: NDArray[np.float32], found: NDArray[np.float32], levels: Levels | None
) -> float:
    """Return the power of the difference over that of the reference, both within the levels."""
    if levels is not None:
        reference, found = (np.clip(x, levels.low, levels.high) for x in (reference, found))
    power = float(np.square(reference, dtype=np.float64).sum())
    noise = float(np.square(found - reference, dtype=np.float64).sum())
    return noise / power if power else 0.0


def _decibels(noise_ratio: float) -> float:
    return -10 * math.log10(noise_ratio) if noise_ratio else math.inf
