"""An ONNX model as a typed graph, images turned from channels first to channels last."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from converter.graph.edits import renamed
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
    from converter.importers.onnx_values import Order

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


# What a node raises that does not fit the others, as in damaged bytes.
MALFORMED = (
    ModelError, KeyError, ValueError, TypeError, IndexError, ZeroDivisionError, AttributeError,
    OverflowError, MemoryError, StopIteration, RecursionError,
)  # fmt: skip
# Of a tensor that keeps the name that the exporter gave.
MAX_NAME = 200


def translate(model: OnnxModel, *, feed: str) -> tuple[Graph, dict[str, Order]]:
    """Return the whole graph, and how each value is laid out; tensors are named as the values.

    An operation that has no counterpart here becomes a custom op that holds the reason: a decode
    that is cut off may have any. What is left must be refused with `refuse_unread`.
    """
    values = Values(model, feed)
    for node in with_gelus(model.nodes, model):
        reason = _written(values, node)
        if reason:
            values.leave(node, reason)
    ends = {value: values.get(value).name for value in model.outputs}
    graph = values.builder.graph(list(dict.fromkeys(ends.values())))
    # Where two values are one tensor, an output's name is the one that people know.
    names = {made.name: value for value, made in values.made.items() if _is_plain(value)}
    names |= {made: value for value, made in ends.items() if _is_plain(value)}
    del names[feed]
    kept = {made: value for made, value in names.items() if made in graph.tensors}
    orders = {value: values.made[value].order for value in kept.values()}
    return renamed(graph, kept), orders


def _written(values: Values, node: OnnxNode) -> str:
    """Write a node, or return why not."""
    if node.op not in HANDLERS:
        return f"found {node.op} ({node.name}), none of the {len(HANDLERS)} operations read here"
    try:
        HANDLERS[node.op](values, node)
    except ModelError as error:
        return str(error)
    except MALFORMED as error:
        return (
            f"expected {node.op} ({node.name}) to fit what it reads, found that it does not "
            f"({type(error).__name__}: {str(error)[:MAX_NAME]})"
        )
    return ""


def refuse_unread(graph: Graph) -> None:
    """Refuse a graph with an operation that is not read here.

    Raises:
        ModelError: It has one; the message says why, and the way out.
    """
    for op in graph.ops:
        if op.custom is not None:
            raise ModelError(f"{op.custom.decode()}; {WAY_OUT}")


def _is_plain(name: str) -> bool:
    return name.isascii() and name.isprintable() and 0 < len(name) <= MAX_NAME


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
