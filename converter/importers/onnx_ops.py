"""An ONNX model as a typed graph, images turned from channels first to channels last."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from converter.importers import (
    onnx_layout,
    onnx_mixing,
    onnx_pointwise,
    onnx_resize,
    onnx_spatial,
)
from converter.importers.onnx_values import Values
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from converter.graph.values import Graph
    from converter.importers.onnx_file import OnnxModel
    from converter.importers.onnx_folding import OnnxNode
    from converter.importers.onnx_values import Made

HANDLERS = (
    onnx_pointwise.HANDLERS
    | onnx_spatial.HANDLERS
    | onnx_layout.HANDLERS
    | onnx_mixing.HANDLERS
    | onnx_resize.HANDLERS
)
# A factor, among names of values.
HALF = "0.5"
# What onnx2tf 1.29 was found to write: NAME_float32.tflite in the folder that is named.
WAY_OUT = (
    "onnx2tf knows more: python -m venv other && other/bin/pip install onnx2tf && "
    "other/bin/onnx2tf -i MODEL.onnx -o FOLDER, then give FOLDER/MODEL_float32.tflite"
)


def translate(
    model: OnnxModel, fetches: Sequence[str], *, feed: str
) -> tuple[Graph, dict[str, Made]]:
    """Return the graph that makes the fetched values, and where each of these is in it.

    Raises:
        ModelError: An operation has no counterpart here.
    """
    values = Values(model, feed)
    for node in _needed(with_gelus(model.nodes, model), fetches):
        if node.op not in HANDLERS:
            raise ModelError(
                f"found {node.op} ({node.name}), none of the {len(HANDLERS)} operations that are "
                f"read here; {WAY_OUT}"
            )
        try:
            HANDLERS[node.op](values, node)
        except ModelError as error:
            raise ModelError(f"{error}; {WAY_OUT}") from error
    made = {value: values.made[value] for value in fetches}
    return values.builder.graph([found.name for found in made.values()]), made


def _needed(nodes: Sequence[OnnxNode], fetches: Sequence[str]) -> list[OnnxNode]:
    """Return the nodes that the values need, in order."""
    wanted = set(fetches)
    kept = []
    for node in reversed(nodes):
        if wanted & set(node.outputs):
            kept.append(node)
            wanted |= set(node.inputs)
    return kept[::-1]


def with_gelus(nodes: Sequence[OnnxNode], model: OnnxModel) -> list[OnnxNode]:
    """Return the nodes with x (1 + erf(x / sqrt 2)) / 2 as one Gelu: TFLite has no Erf."""
    made = {value: node for node in nodes for value in node.outputs}
    found: dict[str, OnnxNode] = {}
    for last in nodes:
        factors = _factors(last.outputs[0], made, model=model)
        erfs = [made[value] for value in factors if _erf_of(made.get(value), made, model=model)]
        rest = [value for value in factors if value not in {erf.outputs[0] for erf in erfs}]
        source = _erf_of(erfs[0], made, model=model) if len(erfs) == 1 else None
        if source is not None and sorted(rest) == sorted([source, HALF]):
            found[last.outputs[0]] = replace(last, op="Gelu", inputs=(source,), attrs={})
    return [found.get(node.outputs[0], node) for node in nodes]


def _factors(value: str, made: dict[str, OnnxNode], *, model: OnnxModel) -> list[str]:
    """Return the values whose product a value is, a constant of 0.5 as `HALF`."""
    node = made.get(value)
    if value in model.constants:
        return [HALF if np.all(model.constants[value] == 0.5) else value]  # noqa: PLR2004
    if node is None or node.op != "Mul":
        return [value]
    return [factor for name in node.inputs for factor in _factors(name, made, model=model)]


def _erf_of(node: OnnxNode | None, made: dict[str, OnnxNode], *, model: OnnxModel) -> str | None:
    """Return x of a node that is 1 + erf(x / sqrt 2)."""
    if node is None or node.op != "Add":
        return None
    for erf, one in (node.inputs, node.inputs[::-1]):
        scaled = made.get(made[erf].inputs[0]) if erf in made and made[erf].op == "Erf" else None
        if scaled is None or scaled.op not in ("Div", "Mul") or not _is(model, one, 1):
            continue
        number = 2**0.5 if scaled.op == "Div" else 2**-0.5
        return scaled.inputs[0] if _is(model, scaled.inputs[1], number) else None
    return None


def _is(model: OnnxModel, value: str, number: float) -> bool:
    return value in model.constants and np.allclose(model.constants[value], number, rtol=1e-4)
