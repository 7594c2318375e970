"""An ONNX graph in the making, of a float `.tflite`: float32, float16, or rounded to 8 bits.

A written-out graph of our own rather than tf2onnx's (1.17): names and layouts stay known, so the
calibrated ranges still fit the tensors, and it takes 1 s and no TensorFlow where that takes 12 s
and 1.6 GiB on SSDLite-MobileNetV2.

Each tensor of four axes has up to two forms, N H W C as in the `.tflite` and N C H W as ONNX
computes, made from each other as they are asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.errors import DependencyError, ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from calibration.ranges import Range
    from converter.graph.values import Graph, Op

OPSET = 17  # TensorRT 8.6, of JetPack 5.1 and 6, reads it
IMAGE_AXES = 4
# TO_NHWC also says where N C H W has an axis of N H W C.
TO_NCHW, TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)
LEVELS = 127  # int8, symmetric, -127..127
LARGEST_HALF = 65504.0  # float16's largest number
# Of a fused activation: kind and bounds.
ACTIVATIONS: dict[str, tuple[Any, ...]] = {
    "RELU": ("Relu",),
    "RELU_N1_TO_1": ("Clip", -1, 1),
    "RELU6": ("Clip", 0, 6),
    "TANH": ("Tanh",),
}


def package(name: str) -> Any:  # noqa: ANN401
    """Import and return `onnx` or `onnxruntime`.

    Raises:
        DependencyError: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise DependencyError(
            f"the {name} package is needed for --tensorrt; type: pip install 'edge-vision[onnx]'"
        ) from error


def symmetric_scale(found: Range) -> float:
    """Return the scale with zero point 0 that holds a range.

    Source: TensorRT, "Working with Quantized Types": symmetric int8, real = scale * integer.
    """
    peak = max(abs(found.min), abs(found.max))
    return peak / LEVELS if peak > 0 else 1.0


class OnnxWriter:
    """Collects nodes and constants.

    Args:
        graph: The float model.
        ranges: Of its tensors by name, to round at convolutions; `None` for a float model.
        path: For messages.
        half: Compute in float16; what goes in and comes out stays float32.
    """

    def __init__(
        self, graph: Graph, ranges: dict[str, Range] | None, path: Path, *, half: bool = False
    ) -> None:
        self.graph = graph
        self.path = path
        self._onnx = package("onnx")
        self._ranges = ranges
        self._half = half
        # Of each tensor, the name of each layout that it has.
        self._forms = {(name, "plain"): name for name in graph.inputs}
        self._rounded: dict[str, str] = {}
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def is_image(self, tensor: str) -> bool:
        """Return whether a tensor has four axes, and so two forms."""
        return len(self.graph.shape(tensor)) == IMAGE_AXES

    def write(
        self,
        op: Op,
        kind: str,
        inputs: Sequence[Any],
        *,
        layout: str = "nchw",
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Write an op's first output as one node, and its fused activation behind it.

        Args:
            op: Of the graph.
            kind: ONNX's name of it.
            inputs: Names of ONNX, or arrays, which become constants.
            layout: Of what the node makes, `nchw` or `plain`.
            attributes: Of the node.
        """
        output, given = self.output(op.output, layout), attributes or {}
        if op.activation == "NONE":
            self.node(kind, inputs, output, **given)
            return
        activation, *bounds = ACTIVATIONS[op.activation]
        before = self.node(kind, inputs, f"{op.output}/before_activation", **given)
        self.node(activation, [before, *map(np.float32, bounds)], output)

    def node(self, kind: str, inputs: Sequence[Any], output: str, **attributes: Any) -> str:  # noqa: ANN401
        """Add a node and return the name of its output; arrays among its inputs are constants."""
        names = [
            found if isinstance(found, str) else self.constant(f"{output}/{number}", found)
            for number, found in enumerate(inputs)
        ]
        self._nodes.append(
            self._onnx.helper.make_node(kind, names, [output], name=output, **attributes)
        )
        return output

    def constant(self, name: str, value: NDArray[Any] | np.generic) -> str:
        """Add a constant and return its name.

        Raises:
            ModelError: It is too large for float16, where the model is to be.
        """
        stored = np.ascontiguousarray(value).reshape(np.shape(value))
        if self._half and stored.dtype == np.float32:
            if np.abs(stored).max(initial=0) > LARGEST_HALF:
                raise ModelError(f"{self.path}: constant {name!r} is too large for float16")
            stored = stored.astype(np.float16)
        self._constants[name] = self._onnx.numpy_helper.from_array(stored, name)
        return name

    def plain(self, tensor: str) -> str:
        """Return the name of a tensor in the `.tflite`'s own layout."""
        return self._form(tensor, "plain", other="nchw", order=TO_NHWC)

    def nchw(self, tensor: str) -> str:
        """Return the name of a tensor of four axes as N C H W; of another as it is."""
        if not self.is_image(tensor):
            return self.plain(tensor)
        return self._form(tensor, "nchw", other="plain", order=TO_NCHW)

    def output(self, tensor: str, layout: str) -> str:
        """Return the name under which an op shall write a tensor in a layout."""
        form = layout if self.is_image(tensor) else "plain"
        name = tensor if form == "plain" else f"{tensor}/nchw"
        self._forms[tensor, form] = name
        return name

    def axis(self, tensor: str, number: int) -> int:
        """Return which axis of a tensor as `nchw` names it is the `.tflite`'s."""
        place = number % len(self.graph.shape(tensor))
        return TO_NHWC[place] if self.is_image(tensor) else place

    def value(self, tensor: str) -> NDArray[Any]:
        """Return the values of a constant tensor.

        Raises:
            ModelError: It is computed.
        """
        found = self.graph.value(tensor)
        if found is None:
            raise ModelError(f"{self.path}: expected {tensor!r} to be stored, found it computed")
        return found

    def rounded(self, tensor: str) -> str:
        """Return the N C H W name of a tensor behind rounding to int8, once for all its readers."""
        name = self.nchw(tensor)
        if self._ranges is None:
            return name
        if name not in self._rounded:
            scale = symmetric_scale(self._ranges[tensor])
            self._rounded[name] = self._pair(name, np.float32(scale), np.int8(0))
        return self._rounded[name]

    def weights(self, op: Op, value: NDArray[np.float32], *, axis: int) -> str:
        """Add an op's weights, rounded per channel along an axis where the model is quantised."""
        source = self.constant(f"{op.output}/weights", value.astype(np.float32))
        if self._ranges is None:
            return source
        others = tuple(other for other in range(value.ndim) if other != axis)
        peaks = np.abs(value).max(axis=others)
        scales = np.where(peaks > 0, peaks / LEVELS, 1).astype(np.float32)
        return self._pair(source, scales, np.zeros(len(scales), np.int8), axis=axis)

    def _pair(self, name: str, scale: Any, zero: Any, **attributes: int) -> str:  # noqa: ANN401
        steps = [self.constant(f"{name}/{what}", found)
                 for what, found in (("scale", scale), ("zero", zero))]  # fmt: skip
        quantized = self.node("QuantizeLinear", (name, *steps), f"{name}/q", **attributes)
        return self.node("DequantizeLinear", (quantized, *steps), f"{name}/dq", **attributes)

    def _form(self, tensor: str, wanted: str, *, other: str, order: tuple[int, ...]) -> str:
        found = self._forms.get((tensor, wanted))
        if found:
            return found
        if self.graph.is_constant(tensor):
            value = self.value(tensor)
            value = value.transpose(TO_NCHW) if wanted == "nchw" else value
            return self.constant(self.output(tensor, wanted), value)
        source = self._forms[tensor, other]
        return self.node("Transpose", [source], self.output(tensor, wanted), perm=order)

    def _between_casts(self) -> list[Any]:
        """Return the nodes with a cast behind each input and before each output of the model."""
        make, types = self._onnx.helper.make_node, self._onnx.TensorProto
        halves = {name: f"{name}/half" for name in (*self.graph.inputs, *self.graph.outputs)}
        for node in self._nodes:
            for names in (node.input, node.output):
                names[:] = [halves.get(name, name) for name in names]
        first = [
            make("Cast", [name], [halves[name]], to=types.FLOAT16) for name in self.graph.inputs
        ]
        last = [make("Cast", [halves[name]], [name], to=types.FLOAT) for name in self.graph.outputs]
        return [*first, *self._nodes, *last]

    def model(self) -> Any:  # noqa: ANN401
        """Return the `ModelProto` of what was added; its ends bear the `.tflite`'s names."""
        for tensor in self.graph.outputs:
            self.plain(tensor)
        helper = self._onnx.helper
        nodes = self._between_casts() if self._half else self._nodes
        ends = [
            [
                helper.make_tensor_value_info(
                    name, self._onnx.TensorProto.FLOAT, self.graph.shape(name)
                )
                for name in names
            ]
            for names in (self.graph.inputs, self.graph.outputs)
        ]
        graph = helper.make_graph(nodes, "edge-vision", *ends, list(self._constants.values()))
        # 8: what runtimes of the same age as the opset read.
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=8,
            producer_name="edge-vision",
        )
