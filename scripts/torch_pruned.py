"""A float model of ours pruned by Torch-Pruning, in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from converter import export
from converter.graph.edits import tidied, with_values
from converter.graph.reading import read
from converter.graph.writing import write
from converter.prune.resizing import resized
from converter.quantize.running import prepared, tapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from converter.graph.values import Graph, Op
    from edge.model.model_file import ModelFile

WORKER = Path(__file__).with_name("torch_pruning_worker.py")
# Axes of the weights, `(O, h, w, I)` and depthwise `(1, h, w, C)`, as torch has them, and back.
TURNED = {
    "CONV_2D": ((0, 3, 1, 2), (0, 2, 3, 1)),
    "DEPTHWISE_CONV_2D": ((3, 0, 1, 2), (1, 2, 3, 0)),
}
IMAGES = 16


def torch_pruned(
    file: ModelFile, images: Sequence[Path], python: Path, *, ratio: float, importance: str
) -> ModelFile:
    """Return the model with this part of its multiplications left, as Torch-Pruning cuts it.

    Args:
        file: Float, of convolutions, sums, pools and joins up to its heads.
        images: Plain ones, for the gradients of `taylor`.
        python: Of an environment with torch and torch-pruning.
        ratio: Of the multiplications.
        importance: `magnitude` or `taylor`.
    """
    graph = read(file.flatbuffer, file.path)
    inputs = prepared(images[:IMAGES], file.description.input)
    heads = _heads(graph)
    (source,) = graph.inputs
    arrays: dict[str, Any] = {"images": np.concatenate([_turned(one) for (one,) in inputs])}
    for name, value in zip(heads, next(iter(tapped(graph, heads, inputs[:1]))), strict=True):
        arrays[f"head {name}"] = _turned(value)
    ops = [
        _told(graph, op, arrays, heads) for op in tidied(replace(graph, outputs=tuple(heads))).ops
    ]
    arrays["ops"] = json.dumps({"ops": ops, "source": source, "heads": heads})
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "net.npz", Path(folder) / "out.npz"
        np.savez(before, **arrays)
        subprocess.run(
            [python, WORKER, before, after, "--macs", f"{ratio:.4f}", "--importance", importance],
            check=True,
        )
        with np.load(after) as found:
            made = dict(found)
    for op in graph.ops:
        if op.kind in TURNED:
            weights = made[op.inputs[1]].transpose(TURNED[op.kind][1])
            made[op.inputs[1]] = np.ascontiguousarray(weights)
    cut = resized(with_values(graph, made), file.description.input.size_wh, path=file.path)
    return export.remade(file, write(cut), f"pruned by Torch-Pruning, {importance}", tools={})


BEHIND = ("RESHAPE",)  # the heads


def _heads(graph: Graph) -> list[str]:
    """Return the maps behind which nothing but reshapes and their joins stands, in graph order."""
    found = []
    for op in graph.ops:
        readers = graph.readers.get(op.output, ())
        if op.kind not in BEHIND and (op.output in graph.outputs or readers) and all(
            reader.kind in BEHIND for reader in readers
        ):  # fmt: skip
            found.append(op.output)
    return [name for name in found if graph.producers[name].kind in TURNED]


def _told(graph: Graph, op: Op, arrays: dict[str, Any], heads: Sequence[str]) -> dict[str, Any]:
    """Return an op as the worker wants it; its weights go among the arrays."""
    told: dict[str, Any] = {
        "kind": op.kind, "output": op.output, "inputs": list(graph.computed_inputs(op)),
        "activation": op.activation, "padding": op.options.get("padding"),
        "strides": op.strides, "is_head": op.output in heads,
    }  # fmt: skip
    if op.kind in TURNED:
        weights, bias = op.inputs[1:]
        arrays[weights] = np.ascontiguousarray(
            np.asarray(graph.value(weights)).transpose(TURNED[op.kind][0])
        )
        arrays[bias] = graph.value(bias)
        told |= {"weights": weights, "bias": bias}
    if op.kind == "MAX_POOL_2D":
        told["size"] = (op.options["filterHeight"], op.options["filterWidth"])
    if op.kind == "LEAKY_RELU":
        told["alpha"] = op.options["alpha"]
    if op.kind == "RESIZE_NEAREST_NEIGHBOR":
        told["factor"] = graph.shape(op.output)[1] // graph.shape(op.inputs[0])[1]
    return told


def _turned(value: Any) -> Any:  # noqa: ANN401
    return np.ascontiguousarray(np.asarray(value).transpose(0, 3, 1, 2))
