"""Write a float32 `Graph` op by op, each as TensorFlow's own converter would have written it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from converter.graph.edits import tidied
from converter.graph.fusing import fused
from converter.graph.values import Graph, Op, Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Shape = tuple[int, ...]

# Least version by the axes of the largest operand. Source: `op_version.cc` of TensorFlow Lite.
RANK_VERSIONS = {
    "TRANSPOSE": {5: 4, 6: 6}, "SLICE": {5: 5}, "STRIDED_SLICE": {5: 4}, "PAD": {5: 4},
    "PADV2": {5: 4}, "MAXIMUM": {5: 3}, "MINIMUM": {5: 3}, "SUB": {5: 3}, "DIV": {5: 2},
}  # fmt: skip
MASKS = ("beginMask", "endMask", "ellipsisMask", "newAxisMask", "shrinkAxisMask")
NARROW = {"float64": np.float32, "float16": np.float32, "int64": np.int32}


class Builder:
    """Collects ops and constants; every method returns the name of what it made.

    Args:
        inputs: Name to shape, batch first, channels last.
    """

    def __init__(self, inputs: Mapping[str, Shape]) -> None:
        self._inputs = tuple(inputs)
        self._tensors = {name: Tensor(name, shape) for name, shape in inputs.items()}
        self._ops: list[Op] = []
        self._reshaped: dict[str, str] = {}
        self._sliced: dict[tuple[Any, ...], str] = {}

    def graph(self, outputs: Sequence[str]) -> Graph:
        """Return what these outputs need, what TFLite computes at once made one op."""
        whole = Graph(dict(self._tensors), tuple(self._ops), self._inputs, tuple(outputs))
        return fused(tidied(whole))

    def shape(self, value: str) -> Shape:
        """Return the shape of what was made."""
        return self._tensors[value].shape

    def dtype(self, value: str) -> str:
        """Return the type of what was made."""
        return self._tensors[value].dtype

    def constant(self, value: NDArray[Any]) -> str:
        """Add a constant with bytes of its own; float64 becomes float32, int64 int32."""
        name = f"constant_{len(self._tensors)}"
        stored = np.array(value, NARROW.get(str(value.dtype), value.dtype), order="C")
        self._tensors[name] = Tensor(name, stored.shape, str(stored.dtype), stored)
        return name

    def numbers(self, *values: int) -> str:
        """Add a row of int32."""
        return self.constant(np.array(values, np.int32))

    def number(self, value: float) -> str:
        """Add one float32."""
        return self.constant(np.array(value, np.float32))

    # The options are the schema's own and as many as a kind has.
    def add(  # noqa: PLR0913
        self,
        kind: str,
        inputs: Sequence[str],
        shape: Shape,
        *,
        version: int = 1,
        dtype: str | None = None,
        custom: bytes | None = None,
        **options: Any,  # noqa: ANN401
    ) -> str:
        """Add an op with one output of this shape, of the first input's type if none is named."""
        name = f"{kind.lower()}_{len(self._tensors)}"
        dtype = dtype or self.dtype(inputs[0])
        self._tensors[name] = Tensor(name, tuple(map(int, shape)), dtype)
        axes = max((len(self.shape(value)) for value in inputs if value), default=0)
        by_rank = RANK_VERSIONS.get(kind, {})
        version = max([version, *(least for rank, least in by_rank.items() if rank <= axes)])
        self._ops.append(Op(kind, tuple(inputs), (name,), options, version, custom))
        return name

    def unary(self, kind: str, value: str, **options: Any) -> str:  # noqa: ANN401
        """Add an op on each number by itself."""
        return self.add(kind, [value], self.shape(value), **options)

    def binary(self, kind: str, first: str, second: str) -> str:
        """Add an op on pairs of numbers; the shapes broadcast as NumPy's."""
        options: dict[str, Any] = (
            {} if kind in ("MAXIMUM", "MINIMUM", "POW") else {"fusedActivationFunction": "NONE"}
        )
        shape = np.broadcast_shapes(self.shape(first), self.shape(second))
        return self.add(kind, [first, second], shape, **options)

    def scaled(self, value: str, factor: float) -> str:
        """Multiply by a number."""
        return self.binary("MUL", value, self.number(factor))

    def shifted(self, value: str, addend: float) -> str:
        """Add a number."""
        return self.binary("ADD", value, self.number(addend))

    def reshape(self, value: str, shape: Shape) -> str:
        """Give the same numbers another shape."""
        if self.shape(value) == tuple(shape):
            return value
        source = self._reshaped.get(value, value)
        if self.shape(source) == tuple(shape):
            return source
        made = self.add("RESHAPE", [source, self.numbers(*shape)], shape, newShape=tuple(shape))
        self._reshaped[made] = source
        return made

    def transpose(self, value: str, order: Sequence[int]) -> str:
        """Reorder the axes; where only axes of size 1 move, that is a reshape."""
        old, stored = self.shape(value), self._tensors[value].value
        if stored is not None:
            return self.constant(stored.transpose(order))
        shape = tuple(old[axis] for axis in order)
        moved = [axis for axis in order if old[axis] > 1]
        if moved == sorted(moved):
            return self.reshape(value, shape)
        return self.add("TRANSPOSE", [value, self.numbers(*order)], shape)

    def concat(self, parts: Sequence[str], axis: int) -> str:
        """Join along an axis."""
        if len(parts) == 1:
            return parts[0]
        shape = list(self.shape(parts[0]))
        shape[axis] = sum(self.shape(part)[axis] for part in parts)
        options: dict[str, Any] = {"axis": axis, "fusedActivationFunction": "NONE"}
        return self.add("CONCATENATION", parts, tuple(shape), **options)

    def sliced(self, value: str, parts: Sequence[slice]) -> str:
        """Take a part along each axis: `start`, `stop` and `step` of each are numbers, forwards.

        The same part is taken once: the four of a YOLO's Focus share their rows.
        """
        old = self.shape(value)
        shape = tuple(len(range(part.start, part.stop, part.step)) for part in parts)
        if shape == old:
            return value
        key = (value, *((part.start, part.stop, part.step) for part in parts))
        if key not in self._sliced:
            starts, stops, steps = (self.numbers(*row) for row in zip(*key[1:], strict=True))
            if all(part.step == 1 for part in parts):
                made = self.add("SLICE", [value, starts, self.numbers(*shape)], shape)
            else:
                masks: dict[str, Any] = dict.fromkeys(MASKS, 0)
                made = self.add("STRIDED_SLICE", [value, starts, stops, steps], shape, **masks)
            self._sliced[key] = made
        return self._sliced[key]

    def part(self, value: str, axis: int, *, start: int, stop: int) -> str:
        """Take a part along one axis."""
        parts = [slice(0, side, 1) for side in self.shape(value)]
        parts[axis] = slice(start, stop, 1)
        return self.sliced(value, parts)

    def gather(self, value: str, places: Sequence[int], axis: int) -> str:
        """Take these places along an axis, in this order, one maybe more than once."""
        if list(places) == list(range(self.shape(value)[axis])):
            return value
        shape = list(self.shape(value))
        shape[axis] = len(places)
        inputs = [value, self.numbers(*places)]
        return self.add("GATHER", inputs, tuple(shape), axis=axis, batchDims=0)

    def pad(self, value: str, pads: Sequence[tuple[int, int]], *, fill: float = 0.0) -> str:
        """Put a number (before, after) along each axis."""
        if not any(map(any, pads)):
            return value
        inputs = [value, self.constant(np.array(pads, np.int32))]
        if fill:
            inputs.append(self.number(fill))
        return self.add("PADV2" if fill else "PAD", inputs, self._padded(value, pads))

    def mirror_pad(self, value: str, pads: Sequence[tuple[int, int]], *, with_edge: bool) -> str:
        """Mirror (before, after) along each axis, the cell at the edge once or twice.

        Args:
            value: What is padded.
            pads: Cells before and after, for each axis.
            with_edge: Twice.
        """
        if not any(map(any, pads)):
            return value
        inputs = [value, self.constant(np.array(pads, np.int32))]
        return self.add("MIRROR_PAD", inputs, self._padded(value, pads), mode=int(with_edge))

    def resize(
        self,
        kind: str,
        image: str,
        size_hw: Sequence[int],
        *,
        align_corners: bool = False,
        half_pixel: bool = False,
    ) -> str:
        """Scale an image by `RESIZE_BILINEAR` or `RESIZE_NEAREST_NEIGHBOR`."""
        batch, *_, channels = self.shape(image)
        # Source: `op_version.cc` of TensorFlow Lite.
        version = 3 if half_pixel or (align_corners and kind == "RESIZE_NEAREST_NEIGHBOR") else 1
        return self.add(
            kind, [image, self.numbers(*size_hw)], (batch, *size_hw, channels), version=version,
            alignCorners=align_corners, halfPixelCenters=half_pixel,
        )  # fmt: skip

    def reduce(self, kind: str, value: str, axes: Sequence[int]) -> str:
        """Reduce over axes, which stay with size 1."""
        shape = tuple(1 if axis in axes else side for axis, side in enumerate(self.shape(value)))
        return self.add(kind, [value, self.numbers(*sorted(axes))], shape, keepDims=True)

    def fully_connected(
        self, value: str, weights: NDArray[np.float32], bias: NDArray[np.float32] | None
    ) -> str:
        """Multiply the last axis by weights `(Cout, Cin)` and add a bias `(Cout,)`."""
        shape = (*self.shape(value)[:-1], len(weights))
        own = np.zeros(len(weights), np.float32) if bias is None else bias
        inputs = [value, self.constant(weights), self.constant(own)]
        keeps = len(shape) > 2  # noqa: PLR2004 - rows and columns
        return self.add(
            "FULLY_CONNECTED", inputs, shape, version=5 if keeps else 1,
            keepNumDims=keeps, fusedActivationFunction="NONE",
        )  # fmt: skip

    def matmul(self, first: str, second: str) -> str:
        """Multiply matrices in the last two axes."""
        left, right = self.shape(first), self.shape(second)
        batch = np.broadcast_shapes(left[:-2], right[:-2])
        return self.add("BATCH_MATMUL", [first, second], (*batch, left[-2], right[-1]))

    def elu(self, value: str, alpha: float) -> str:
        """Write relu(x) + alpha (exp(min(x, 0)) - 1): no quantiser has TFLite's own ELU."""
        below = self.scaled(self.unary("RELU", self.scaled(value, -1)), -1)  # min(x, 0)
        bent = self.shifted(self.scaled(self.unary("EXP", below), alpha), -alpha)
        return self.binary("ADD", self.unary("RELU", value), bent)

    def softplus(self, value: str) -> str:
        """Write log(1 + exp(x)) as relu(x) - log(sigmoid(|x|)), which no x takes out of range."""
        logarithm = self.unary("LOG", self.unary("LOGISTIC", self.unary("ABS", value)))
        return self.binary("SUB", self.unary("RELU", value), logarithm)

    def mish(self, value: str) -> str:
        """Write x tanh(softplus(x)), softplus(x) as -log(sigmoid(-x)): ops that LiteRT has in int8.

        The minus is a product, as NEG has no int8 kernel. For large x the logarithm is -inf, and
        its tanh exactly 1.
        Source: Misra 2019, "Mish: A Self Regularized Non-Monotonic Activation Function".
        """
        sigmoid = self.unary("LOGISTIC", self.scaled(value, -1))
        softplus = self.scaled(self.unary("LOG", sigmoid), -1)
        return self.binary("MUL", value, self.unary("TANH", softplus))

    def _padded(self, value: str, pads: Sequence[tuple[int, int]]) -> Shape:
        return tuple(side + sum(pair) for side, pair in zip(self.shape(value), pads, strict=True))
