"""Read an ONNX file as plain values: operations in order, constants, the shape of every value."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from converter.importers.onnx_folding import OnnxNode, folded
from edge.errors import DependencyError, ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MAX_BYTES = 2**30
IMAGE_AXES = 4
FLOAT_TYPES = (1, 10, 11)  # onnx.TensorProto: FLOAT, FLOAT16, DOUBLE
MOST_CHANNELS = 4
DOMAINS = ("", "ai.onnx")
QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger", "MatMulInteger")


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """A float model of one image.

    Attributes:
        nodes: In an order in which each comes after what it reads.
        constants: By value name.
        shapes: Static shape of each value that is known, constants included.
        input: Name of the one input, `(1, C, H, W)` or `(1, H, W, C)`.
        outputs: Names of the outputs.
        opset: Version of the operations.
        metadata: What the exporter wrote beside the graph.
        original: The file, with a batch of 1.
        is_float32: The original computes so.
    """

    nodes: tuple[OnnxNode, ...]
    constants: dict[str, NDArray[Any]]
    shapes: dict[str, tuple[int, ...]]
    input: str
    outputs: tuple[str, ...]
    opset: int
    metadata: dict[str, str]
    original: bytes
    is_float32: bool

    @property
    def input_order(self) -> tuple[int, ...]:
        """Which axes of the input are batch, rows, columns and channels."""
        return (0, 1, 2, 3) if _channels_last(self.shapes[self.input]) else (0, 2, 3, 1)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Batch, rows, columns and channels of the input."""
        return tuple(self.shapes[self.input][axis] for axis in self.input_order)

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
    original = proto.SerializeToString()
    weights = tuple(proto.graph.initializer)
    opset = max(each.version for each in proto.opset_import if each.domain in DOMAINS)
    try:
        nodes, constants, shapes = folded(proto, onnx, opset)
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
        opset=opset,
        original=original,
        is_float32=not any(tensor.data_type in FLOAT_TYPES[1:] for tensor in weights),
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
    domains = sorted({node.domain for node in proto.graph.node} - set(DOMAINS))
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
    if len(sides) != IMAGE_AXES or not all(
        isinstance(side, int) and side > 0 for side in shape[1:]
    ):
        raise ModelError(
            f"{path}: expected an input (1, channels, height, width) of fixed size, found "
            f"({', '.join(map(str, shape))}); export the model with a fixed image size"
        )
    kind = inputs[0].type.tensor_type.elem_type
    if kind not in FLOAT_TYPES:
        raise ModelError(
            f"{path}: expected an input of floats, found type {kind} of ONNX (2 is uint8); export "
            "the model without the cast at its input"
        )
    # Weights listed as inputs may be replaced by the caller: no shape could hang on them.
    del proto.graph.input[:]
    proto.graph.input.extend(inputs)
    if shape[0] != 1:
        proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
        # What the exporter wrote of later shapes holds for its own batch.
        del proto.graph.value_info[:]
        for value in proto.graph.output:
            if value.type.HasField("tensor_type"):
                value.type.tensor_type.ClearField("shape")


def _channels_last(shape: tuple[int, ...]) -> bool:
    """Return whether an image's last axis is its channels, as exporters of TensorFlow leave it."""
    return shape[3] <= MOST_CHANNELS < shape[1]
