"""A small float net with the ops that quantisers treat differently, written without TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from calibration.observe import TappedModel, pinned_input
from calibration.ranges import Range
from edge.model.description import InputTransform

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE, CHANNELS = 16, 8
TRANSFORM = InputTransform(
    size_wh=(SIDE, SIDE), color="rgb", mean=(0, 0, 0), std=(255, 255, 255), resize="stretch"
)
OUTPUTS = ("boxes", "scores")
CODE, KIND = schema.BuiltinOperator, schema.BuiltinOptions


def build(activation: str = "LEAKY_RELU") -> bytes:
    """Return the net; its computed tensors, each named after what it is, with the op it comes from.

    stem (CONV_2D), active (`activation`), deep (DEPTHWISE_CONV_2D), near (RESIZE_NEAREST_NEIGHBOR),
    wide (TRANSPOSE_CONV), joined (CONCATENATION of active, near and wide), boxes (CONV_2D),
    logits (CONV_2D), scores (LOGISTIC). Input `image` `(1, 16, 16, 3)`.
    """
    net = Net()
    half, quarter = (1, SIDE // 2, SIDE // 2, CHANNELS), (1, SIDE // 4, SIDE // 4, CHANNELS)
    image = net.tensor("image", (1, SIDE, SIDE, 3))
    stem = net.conv(image, "stem", half, kernel=(CHANNELS, 3, 3, 3), stride=2)
    active = net.tensor("active", half)
    leak = _with(schema.LeakyReluOptionsT(), alpha=0.1)
    net.op(activation, [stem], active, leak if activation == "LEAKY_RELU" else None)
    deep = net.depthwise(active, "deep", quarter)
    near, wide = net.tensor("near", half), net.tensor("wide", half)
    size = net.constant("size", np.array(half[1:3], np.int32))
    net.op("RESIZE_NEAREST_NEIGHBOR", [deep, size], near, schema.ResizeNearestNeighborOptionsT())
    net.transpose_conv(deep, wide, half)
    joined = net.tensor("joined", (*half[:3], 3 * CHANNELS))
    net.op(
        "CONCATENATION", [active, near, wide], joined, _with(schema.ConcatenationOptionsT(), axis=3)
    )
    boxes = net.conv(joined, "boxes", (*half[:3], 4), kernel=(4, 1, 1, 3 * CHANNELS))
    logits = net.conv(joined, "logits", (*half[:3], 2), kernel=(2, 1, 1, 3 * CHANNELS))
    scores = net.tensor("scores", (*half[:3], 2))
    net.op("LOGISTIC", [logits], scores, None)
    return net.finish(image, dict(zip(OUTPUTS, (boxes, scores), strict=True)))


def images(count: int = 4) -> list[NDArray[np.uint8]]:
    """Return random images of the net's own size, always the same."""
    rng = np.random.default_rng(1)
    return list(rng.integers(0, 256, (count, SIDE, SIDE, 3), np.uint8))


def ranges(net: bytes) -> dict[str, Range]:
    """Return the extremes of each computed tensor over `images`, and the pinned input."""
    model = TappedModel(net, TRANSFORM)
    found: dict[str, Range] = {}
    for image in images():
        for name, values in model.run(image):
            seen = Range(float(values.min()), float(values.max()))
            found[name] = found[name].merge(seen) if name in found else seen
    return {**found, "image": pinned_input(TRANSFORM)}


class Net:
    """A `.tflite` under construction: tensors, constants and ops, in the order of the calls."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.model: Any = schema.ModelT()
        self.model.version = 3
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.graph: Any = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]

    def tensor(self, name: str, shape: tuple[int, ...], kind: int = 0, buffer: int = 0) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), kind, buffer
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, name: str, values: NDArray[Any]) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        kind = {"float32": schema.TensorType.FLOAT32, "int32": schema.TensorType.INT32}
        number = len(self.model.buffers) - 1
        return self.tensor(name, values.shape, kind[values.dtype.name], number)

    def weights(self, name: str, shape: tuple[int, ...]) -> int:
        return self.constant(name, self.rng.normal(0, 0.4, shape).astype(np.float32))

    def op(self, kind: str, inputs: list[int], output: int, options: Any) -> None:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(CODE, kind)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        self.model.operatorCodes.append(code)
        op = schema.OperatorT()
        op.opcodeIndex, op.inputs, op.outputs = len(self.model.operatorCodes) - 1, inputs, [output]
        if options is not None:
            op.builtinOptions = options
            op.builtinOptionsType = getattr(KIND, type(options).__name__.removesuffix("T"))
        self.graph.operators.append(op)

    def conv(
        self,
        source: int,
        name: str,
        shape: tuple[int, ...],
        *,
        kernel: tuple[int, ...],
        stride: int = 1,
    ) -> int:
        weights = self.weights(f"{name}/weights", kernel)
        bias = self.weights(f"{name}/bias", kernel[:1])
        output = self.tensor(name, shape)
        options = _strided(schema.Conv2DOptionsT(), stride)
        self.op("CONV_2D", [source, weights, bias], output, options)
        return output

    def depthwise(self, source: int, name: str, shape: tuple[int, ...]) -> int:
        weights = self.weights(f"{name}/weights", (1, 3, 3, CHANNELS))
        bias = self.weights(f"{name}/bias", (CHANNELS,))
        output = self.tensor(name, shape)
        options = _with(_strided(schema.DepthwiseConv2DOptionsT(), 2), depthMultiplier=1)
        self.op("DEPTHWISE_CONV_2D", [source, weights, bias], output, options)
        return output

    def transpose_conv(self, source: int, output: int, shape: tuple[int, ...]) -> None:
        size = self.constant("wide/shape", np.array(shape, np.int32))
        weights = self.weights("wide/weights", (CHANNELS, 2, 2, CHANNELS))
        options = _strided(schema.TransposeConvOptionsT(), 2)
        self.op("TRANSPOSE_CONV", [size, weights, source], output, options)

    def finish(self, image: int, outputs: dict[str, int]) -> bytes:
        self.graph.inputs, self.graph.outputs = [image], list(outputs.values())
        signature = schema.SignatureDefT()
        signature.signatureKey = "serving_default"
        signature.inputs = [_with(schema.TensorMapT(), name="image", tensorIndex=image)]
        signature.outputs = [
            _with(schema.TensorMapT(), name=name, tensorIndex=index)
            for name, index in outputs.items()
        ]
        self.model.signatureDefs = [signature]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def _strided(options: Any, stride: int) -> Any:
    fields = {"padding": schema.Padding.SAME, "strideH": stride, "strideW": stride}
    for name in ("dilationHFactor", "dilationWFactor"):
        if hasattr(options, name):
            fields[name] = 1
    return _with(options, **fields)


def _with(options: Any, **fields: Any) -> Any:
    for name, value in fields.items():
        setattr(options, name, value)
    return options
