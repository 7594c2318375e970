"""Read an ONNX file as plain values: operations in order, constants, and the shape of every value.

What hangs on constants and shapes alone is computed here, as exporters leave chains of Shape,
Gather and Slice that no LiteRT op should be spent on.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.errors import DependencyError, ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MAX_BYTES = 2**30
# Computed at once where all inputs are constants. None makes much of little: a hostile file that
# asks for a tensor of gigabytes finds no Expand, Tile or ConstantOfShape here.
FOLDED = (
    "Add", "Cast", "Ceil", "Concat", "Div", "Floor", "Gather", "Identity", "Mul", "Neg", "Reshape",
    "Slice", "Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze",
)  # fmt: skip
MAX_FOLDED_ELEMENTS = 2**24
# A slice has no shape until what it hangs on is folded: YOLOv9 needs ten rounds.
FOLD_ROUNDS = 64
QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger", "MatMulInteger")


@dataclass(frozen=True, slots=True)
class OnnxNode:
    """One operation; `inputs` and `outputs` name values, "" is an optional input left out."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """A float model of one image.

    Attributes:
        nodes: In an order in which each comes after what it reads.
        constants: By value name.
        shapes: Static shape of each value that is known, constants included.
        input: Name of the one input, `(1, 3, H, W)`.
        outputs: Names of the outputs.
        metadata: What the exporter wrote beside the graph.
    """

    nodes: tuple[OnnxNode, ...]
    constants: dict[str, NDArray[Any]]
    shapes: dict[str, tuple[int, ...]]
    input: str
    outputs: tuple[str, ...]
    metadata: dict[str, str]

    def producers(self) -> dict[str, OnnxNode]:
        """Return the node that makes each value."""
        return {value: node for node in self.nodes for value in node.outputs}


def read(path: Path) -> OnnxModel:
    """Read a model whose weights are inside and whose sizes are fixed; a free batch becomes 1.

    Raises:
        ModelError: The file is missing, damaged, foreign, quantised, or needs custom ops.
        DependencyError: The package onnx is not installed.
    """
    onnx = _onnx()
    proto = _parse(path, onnx)
    _refuse_foreign(path, proto, onnx)
    _fix_batch_inplace(path, proto)
    try:
        nodes, constants, shapes = _folded(proto, onnx)
    except (ValueError, TypeError, RuntimeError, KeyError, IndexError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"{path}: expected an ONNX graph whose shapes agree, found one where they do not "
            f"({reason[:200]}); export the model again"
        ) from error
    image = next(value.name for value in proto.graph.input if value.name not in constants)
    return OnnxModel(
        nodes=tuple(nodes),
        constants=constants,
        shapes=shapes,
        input=image,
        outputs=tuple(value.name for value in proto.graph.output),
        metadata={entry.key: entry.value for entry in proto.metadata_props},
    )


def _onnx() -> Any:  # noqa: ANN401
    try:
        import onnx  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise DependencyError(
            "the package onnx is needed to read this file; type: pip install 'edge-vision[onnx]'"
        ) from error
    return onnx


def _parse(path: Path, onnx: Any) -> Any:  # noqa: ANN401
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - comes with onnx

    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ModelError(f"{path}: expected an ONNX file of at most 1 GiB, found {size} bytes")
        proto = onnx.load_model_from_string(path.read_bytes())
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such file; give the path of an .onnx model") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {os.strerror(error.errno or 0)}") from error
    except (DecodeError, ValueError, RuntimeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"{path}: expected an ONNX model, found bytes that are none; export it again"
        ) from error
    if not proto.graph.node:
        raise ModelError(f"{path}: expected an ONNX model, found no graph in it; export it again")
    return proto


def _refuse_foreign(path: Path, proto: Any, onnx: Any) -> None:  # noqa: ANN401
    domains = sorted({node.domain for node in proto.graph.node} - {"", "ai.onnx"})
    if domains or proto.functions:
        found = ", ".join(domains) or ", ".join(found.name for found in proto.functions)
        raise ModelError(
            f"{path}: expected the operations of ONNX itself, found those of {found}; "
            "export the model without custom operations"
        )
    ops = {node.op_type for node in proto.graph.node}
    quantized = sorted(ops & set(QUANTIZED))
    if quantized:
        raise ModelError(
            f"{path}: expected a float model, found {', '.join(quantized)}; "
            "give the model that it was quantised from"
        )
    outside = [
        tensor.name
        for tensor in proto.graph.initializer
        if onnx.external_data_helper.uses_external_data(tensor)
    ]
    if outside:
        raise ModelError(
            f"{path}: expected the weights inside the file, found {len(outside)} tensors kept in "
            "another; export the model as one file"
        )


def _fix_batch_inplace(path: Path, proto: Any) -> None:  # noqa: ANN401
    weights = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise ModelError(f"{path}: expected one input, an image, found {names}")
    sides = inputs[0].type.tensor_type.shape.dim
    shape = [side.dim_value or side.dim_param or "?" for side in sides]
    if len(sides) != 4 or shape[1] != 3 or not all(isinstance(side, int) for side in shape[2:]):  # noqa: PLR2004
        raise ModelError(
            f"{path}: expected an input (1, 3, height, width) of fixed size, found "
            f"({', '.join(map(str, shape))}); export the model with a fixed image size"
        )
    if shape[0] != 1:
        sides[0].dim_value = 1
        # What the exporter wrote of later shapes holds for its own batch.
        del proto.graph.value_info[:]
        for value in proto.graph.output:
            value.type.tensor_type.ClearField("shape")


Folded = tuple[list[OnnxNode], "dict[str, NDArray[Any]]", dict[str, tuple[int, ...]]]


def _folded(proto: Any, onnx: Any) -> Folded:  # noqa: ANN401
    constants = {
        tensor.name: _float32(onnx.numpy_helper.to_array(tensor))
        for tensor in proto.graph.initializer
    }
    for _ in range(FOLD_ROUNDS):
        shapes = _shapes(proto, onnx) | {name: value.shape for name, value in constants.items()}
        kept = [
            node
            for node in proto.graph.node
            if not _fold_inplace(node, constants, shapes, onnx=onnx)
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
) -> bool:
    """Put the value of a node among the constants; return whether it has one."""
    name = node.output[0]
    if node.op_type == "Constant":
        constants[name] = _float32(_constant_value(node, onnx))
        return True
    if node.op_type == "Shape" and node.input[0] in shapes and not node.attribute:
        constants[name] = np.array(shapes[node.input[0]], np.int64)
        return True
    inputs = [value for value in node.input if value]
    if node.op_type not in FOLDED or not inputs or any(each not in constants for each in inputs):
        return False
    if sum(constants[each].size for each in inputs) > MAX_FOLDED_ELEMENTS:
        return False
    from onnx.reference import ReferenceEvaluator  # noqa: PLC0415 - of an extra

    feeds = {each: constants[each] for each in inputs}
    outputs: Any = ReferenceEvaluator(node).run(None, feeds)
    constants[name] = _float32(np.asarray(outputs[0]))
    return True


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
    attrs = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    name = node.name or f"{node.op_type}_{number}"
    return OnnxNode(name, node.op_type, tuple(node.input), tuple(node.output), attrs)


def _float32(value: NDArray[Any]) -> NDArray[Any]:
    return value.astype(np.float32) if value.dtype in (np.float16, np.float64) else value
