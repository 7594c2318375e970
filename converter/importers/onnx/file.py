"""What the package onnx tells: of a file its operations and weights, of a node what it gives."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.errors import DependencyError, ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Constants = Mapping[str, NDArray[Any]]
    Shapes = dict[str, tuple[int, ...]]
    Kind = tuple[str, tuple[int, ...]]

MAX_BYTES = 2**30
IMAGE_AXES = 4
MOST_NAMED = 5
FLOAT_TYPES = (1, 10, 11)  # onnx.TensorProto: FLOAT, FLOAT16, DOUBLE
MOST_CHANNELS = 4
DOMAINS = ("", "ai.onnx")
QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger", "MatMulInteger")

# Computed at once where all inputs are constants.
FOLDED = (
    "Abs", "Add", "And", "Cast", "Ceil", "Concat", "Constant", "ConstantOfShape", "Div", "Equal",
    "Expand", "Flatten", "Floor", "Gather", "Greater", "Identity", "Less", "Max", "Min", "Mod",
    "Mul", "Neg", "Not", "Or", "Pow", "Range", "ReduceProd", "Reshape", "Slice", "Split", "Sqrt",
    "Squeeze", "Sub", "Tile", "Transpose", "Unsqueeze", "Where",
)  # fmt: skip
# Of an output: a small file may ask for gigabytes.
MAX_FOLDED = 2**24
TOO_LARGE = (MAX_FOLDED, 2)
# Of a constant that a shape may hang on; larger ones are weights.
MAX_SHAPING = 64


@dataclass(frozen=True, slots=True)
class OnnxNode:
    """One operation; `inputs` and `outputs` name values, "" is an optional input left out."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: dict[str, Any]
    opset: int
    proto: Any

    def __str__(self) -> str:
        return f"{self.op} ({self.name})"


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """A float model of one image.

    Attributes:
        nodes: In an order in which each comes after what it reads.
        constants: The weights, by value name; of half and double precision as float32.
        input: Name of the one input.
        shape: Of the input, `(1, C, H, W)` or `(1, H, W, C)`.
        outputs: Names of the outputs.
        metadata: What the exporter wrote beside the graph.
        proto: The file, with a batch of 1, as onnx has it.
        is_float32: The original computes so.
    """

    nodes: tuple[OnnxNode, ...]
    constants: dict[str, NDArray[Any]]
    input: str
    shape: tuple[int, ...]
    outputs: tuple[str, ...]
    metadata: dict[str, str]
    proto: Any
    is_float32: bool

    @property
    def input_order(self) -> tuple[int, ...]:
        """Which axes of the input are batch, rows, columns and channels."""
        # Exporters of TensorFlow leave the channels last.
        channels_last = self.shape[3] <= MOST_CHANNELS < self.shape[1]
        return (0, 1, 2, 3) if channels_last else (0, 2, 3, 1)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Batch, rows, columns and channels of the input."""
        return tuple(self.shape[axis] for axis in self.input_order)


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        ModelError: It is missing or too large.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}; give an .onnx file") from error
    if len(data) > MAX_BYTES:
        raise ModelError(f"{path}: expected at most {MAX_BYTES} bytes, found {len(data)}")
    return data


def read(data: bytes, path: Path) -> OnnxModel:
    """Read a model whose weights are inside and whose sizes are fixed; a free batch becomes 1.

    Raises:
        ModelError: It is damaged, foreign, quantised, or needs custom ops.
        DependencyError: The package onnx is not installed.
        ValueError: Some part of it does not fit another.
    """
    try:
        import onnx  # noqa: PLC0415 - of an extra
        from google.protobuf.message import DecodeError  # noqa: PLC0415 - comes with onnx
    except ImportError as error:
        raise DependencyError(
            "the package onnx is needed to read this file; type: pip install 'edge-vision[onnx]'"
        ) from error
    try:
        proto = onnx.load_model_from_string(data)
    except (DecodeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{path}: expected an ONNX model, found bytes that are none; export it again"
        ) from error
    if not proto.graph.node:
        raise ModelError(f"{path}: expected an ONNX model, found no graph in it; export it again")
    weights = proto.graph.initializer
    names = {tensor.name for tensor in weights}
    images = [value for value in proto.graph.input if value.name not in names]
    _refuse_unfit(path, proto, images)
    # Weights listed as inputs may be replaced by the caller: no shape could hang on them.
    del proto.graph.input[:]
    proto.graph.input.extend(images)
    (image,) = proto.graph.input
    image.type.tensor_type.shape.dim[0].dim_value = 1
    # What the exporter wrote of later shapes holds for its own batch.
    del proto.graph.value_info[:]
    for value in proto.graph.output:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")
    return OnnxModel(
        nodes=tuple(
            OnnxNode(
                name=node.name or f"{node.op_type}_{number}",
                op=node.op_type,
                inputs=tuple(node.input),
                outputs=tuple(node.output),
                attrs={each.name: onnx.helper.get_attribute_value(each) for each in node.attribute},
                opset=max(each.version for each in proto.opset_import if each.domain in DOMAINS),
                proto=node,
            )
            for number, node in enumerate(proto.graph.node)
        ),
        constants={each.name: _as_float32(onnx.numpy_helper.to_array(each)) for each in weights},
        input=image.name,
        shape=tuple(side.dim_value for side in image.type.tensor_type.shape.dim),
        outputs=tuple(value.name for value in proto.graph.output),
        metadata={entry.key: entry.value for entry in proto.metadata_props},
        proto=proto,
        is_float32=not any(tensor.data_type in FLOAT_TYPES[1:] for tensor in weights),
    )


def shapes_of(node: OnnxNode, constants: Constants, computed: Mapping[str, Kind]) -> Shapes:
    """Return the shapes of what a node gives, by value name, as far as they are told.

    Args:
        node: The node.
        constants: By value name.
        computed: Type and shape of all else that it reads.

    Raises:
        ValueError: They contradict each other.
    """
    import onnx  # noqa: PLC0415 - of an extra

    found: Shapes = {}
    try:
        model = onnx.shape_inference.infer_shapes(_model_of(node, constants, computed))
    # It lacks what it must read.
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return found
    for value in model.graph.output:
        kind = value.type.tensor_type
        if kind.HasField("shape") and all(side.HasField("dim_value") for side in kind.shape.dim):
            found[value.name] = tuple(side.dim_value for side in kind.shape.dim)
    return found


def folded(node: OnnxNode, constants: Constants) -> dict[str, NDArray[Any]]:
    """Return the values of a node that reads nothing but constants; none if it stays."""
    from onnx.reference import ReferenceEvaluator  # noqa: PLC0415 - of an extra

    if node.op not in FOLDED or not {*node.inputs} - {""} <= constants.keys():
        return {}
    shapes = shapes_of(node, constants, {})
    sizes = [math.prod(shapes.get(name, TOO_LARGE)) for name in node.outputs]
    if node.op != "Constant" and max(sizes) > MAX_FOLDED:
        return {}
    read = {name: constants[name] for name in node.inputs if name}
    found: Any = ReferenceEvaluator(_model_of(node, constants, {})).run(None, read)
    values = [_as_float32(np.asarray(value)) for value in found]
    return dict(zip(node.outputs, values, strict=True))


def _as_float32(value: NDArray[Any]) -> NDArray[Any]:
    """Return floats of any precision as float32, and all else as it is."""
    return value.astype(np.float32) if value.dtype.kind == "f" else value


def _model_of(node: OnnxNode, constants: Constants, computed: Mapping[str, Kind]) -> Any:  # noqa: ANN401
    """Return a model of its own for a node, as a bare one is read by today's opset."""
    from onnx import helper, numpy_helper  # noqa: PLC0415 - of an extra

    read = {name: constants[name] for name in node.inputs if name in constants}
    small = {name: value for name, value in read.items() if value.size <= MAX_SHAPING}
    kinds = {name: (value.dtype.name, value.shape) for name, value in read.items()}
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
        for name, (dtype, shape) in {**kinds, **computed}.items()
        if name not in small
    ]
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.outputs if name]
    stored = [numpy_helper.from_array(value, name) for name, value in small.items()]
    graph = helper.make_graph([node.proto], "one", inputs, outputs, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", node.opset)])


def _refuse_unfit(path: Path, proto: Any, images: list[Any]) -> None:  # noqa: ANN401
    from onnx.external_data_helper import uses_external_data  # noqa: PLC0415 - of an extra

    graph = proto.graph
    kinds = {image.type.tensor_type.elem_type for image in images}
    sides = [side for image in images for side in image.type.tensor_type.shape.dim]
    shape = ", ".join(str(side.dim_value or side.dim_param or "?") for side in sides)
    is_fixed = len(sides) == IMAGE_AXES and all(side.dim_value > 0 for side in sides[1:])
    rows: tuple[tuple[str, set[str], str], ...] = (
        ("the operations of ONNX itself",
         {node.domain for node in graph.node} - {*DOMAINS} | {one.name for one in proto.functions},
         "export the model without custom operations"),
        ("a float model", {node.op_type for node in graph.node} & {*QUANTIZED},
         "give the model that it was quantised from"),
        ("the weights inside the file",
         {f"{each.name} in another" for each in graph.initializer if uses_external_data(each)},
         "export the model as one file"),
        ("one input, an image",
         {str(len(images)), *(image.name for image in images)} if len(images) != 1 else set(),
         "export a model of images alone"),
        ("an input (1, channels, height, width) of fixed size",
         set() if is_fixed else {f"({shape})"}, "export the model with a fixed image size"),
        ("an input of floats",
         {f"type {kind} of ONNX (2 is uint8)" for kind in kinds - {*FLOAT_TYPES}},
         "export the model without the cast at its input"),
    )  # fmt: skip
    for expected, found, way in rows:
        if found:
            some = ", ".join(sorted(found)[:MOST_NAMED])
            raise ModelError(f"{path}: expected {expected}, found {some}; {way}")
