"""Compute what hangs on constants and shapes alone.

Exporters leave chains of Shape, Gather and Slice that no LiteRT op should be spent on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Computed at once where all inputs are constants.
FOLDED = (
    "Add", "Cast", "Ceil", "Concat", "ConstantOfShape", "Div", "Equal", "Expand", "Flatten",
    "Floor", "Gather", "Identity", "Max", "Min", "Mul", "Neg", "Pow", "Range", "ReduceProd",
    "Reshape", "Slice", "Split", "Sqrt", "Squeeze", "Sub", "Tile", "Transpose", "Unsqueeze",
    "Where",
)  # fmt: skip
MAX_FOLDED = 2**24
# A slice has no shape until what it hangs on is folded: YOLOv9 needs ten rounds.
FOLD_ROUNDS = 64


@dataclass(frozen=True, slots=True)
class OnnxNode:
    """One operation; `inputs` and `outputs` name values, "" is an optional input left out."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: dict[str, Any]


Folded = tuple[list[OnnxNode], "dict[str, NDArray[Any]]", dict[str, tuple[int, ...]]]


def folded(proto: Any, onnx: Any, opset: int) -> Folded:  # noqa: ANN401
    """Return what is left to compute, the constants, and the static shapes that are known."""
    constants = {
        tensor.name: _float32(onnx.numpy_helper.to_array(tensor))
        for tensor in proto.graph.initializer
    }
    for _ in range(FOLD_ROUNDS):
        shapes = _shapes(proto, onnx) | {name: value.shape for name, value in constants.items()}
        kept = [
            node
            for node in proto.graph.node
            if not _fold_inplace(node, constants, shapes, onnx=onnx, opset=opset)
        ]
        done = len(kept) == len(proto.graph.node)
        del proto.graph.node[:]
        proto.graph.node.extend(kept)
        _add_initializers_inplace(proto, constants, onnx)
        if done:
            break
    nodes = [_node(node, number, onnx) for number, node in enumerate(proto.graph.node)]
    return nodes, constants, shapes


def _shapes(proto: Any, onnx: Any) -> dict[str, tuple[int, ...]]:  # noqa: ANN401
    graph = onnx.shape_inference.infer_shapes(proto, data_prop=True).graph
    found = {}
    for value in (*graph.value_info, *graph.input, *graph.output):
        kind = value.type.tensor_type
        if kind.HasField("shape") and all(side.HasField("dim_value") for side in kind.shape.dim):
            found[value.name] = tuple(side.dim_value for side in kind.shape.dim)
    return found


def _fold_inplace(
    node: Any,  # noqa: ANN401
    constants: dict[str, NDArray[Any]],
    shapes: dict[str, tuple[int, ...]],
    *,
    onnx: Any,  # noqa: ANN401
    opset: int,
) -> bool:
    """Put the value of a node among the constants; return whether it has one."""
    name = node.output[0]
    if node.op_type == "Constant":
        constants[name] = _float32(_constant_value(node, onnx))
        return True
    if node.op_type == "Shape" and node.input[0] in shapes:
        attrs = _attrs(node, onnx)
        shape = shapes[node.input[0]][attrs.get("start", 0) : attrs.get("end")]
        constants[name] = np.array(shape, np.int64)
        return True
    inputs = {value: constants[value] for value in node.input if value in constants}
    if node.op_type not in FOLDED or not inputs or len(inputs) < len({*node.input} - {""}):
        return False
    if _elements(node.op_type, [constants[value] for value in node.input if value]) > MAX_FOLDED:
        return False
    for output, value in zip(node.output, _evaluated(node, inputs, onnx, opset=opset), strict=True):
        constants[output] = _float32(np.asarray(value))
    return True


def _evaluated(
    node: Any,  # noqa: ANN401
    inputs: dict[str, NDArray[Any]],
    onnx: Any,  # noqa: ANN401
    *,
    opset: int,
) -> list[Any]:
    """Return what a node gives; in a model of its own, as a bare node is read by today's opset."""
    from onnx.reference import ReferenceEvaluator  # noqa: PLC0415 - of an extra

    helper = onnx.helper
    ends = [[helper.make_empty_tensor_value_info(name) for name in names]
            for names in (inputs, node.output)]  # fmt: skip
    graph = helper.make_graph([node], "one", *ends)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    found: Any = ReferenceEvaluator(model).run(None, inputs)
    return list(found)


def _elements(op: str, inputs: list[NDArray[Any]]) -> float:
    """Return how many numbers come out at most: a small file may ask for gigabytes."""
    size = float(sum(value.size for value in inputs))
    if op == "ConstantOfShape":
        return float(np.prod(inputs[0].astype(float)))
    if op in ("Expand", "Tile"):
        return size * float(np.prod(np.abs(inputs[1].astype(float))))
    if op == "Range":
        start, stop, step = (float(value.reshape(-1)[0]) for value in inputs)
        return abs(stop - start) / max(abs(step), 1e-9)
    # Operands of a broadcast: (N, 1) and (1, N) make N squared.
    ranks = np.zeros(max((value.ndim for value in inputs), default=0))
    for value in inputs:
        ranks[len(ranks) - value.ndim :] = np.maximum(ranks[len(ranks) - value.ndim :], value.shape)
    return max(size, float(np.prod(ranks)))


def _attrs(node: Any, onnx: Any) -> dict[str, Any]:  # noqa: ANN401
    return {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}


def _constant_value(node: Any, onnx: Any) -> NDArray[Any]:  # noqa: ANN401
    attribute = node.attribute[0]
    value = onnx.helper.get_attribute_value(attribute)
    if attribute.name == "value":
        return np.asarray(onnx.numpy_helper.to_array(value))
    return np.asarray(value)


def _add_initializers_inplace(proto: Any, constants: dict[str, NDArray[Any]], onnx: Any) -> None:  # noqa: ANN401
    """Tell shape inference of the constants that were computed."""
    known = {tensor.name for tensor in proto.graph.initializer}
    for name in sorted(constants.keys() - known):
        proto.graph.initializer.append(onnx.numpy_helper.from_array(constants[name], name))


def _node(node: Any, number: int, onnx: Any) -> OnnxNode:  # noqa: ANN401
    attrs = _attrs(node, onnx)
    name = node.name or f"{node.op_type}_{number}"
    return OnnxNode(name, node.op_type, tuple(node.input), tuple(node.output), attrs)


def _float32(value: NDArray[Any]) -> NDArray[Any]:
    return value.astype(np.float32) if value.dtype in (np.float16, np.float64) else value
