"""A TensorFlow Lite graph as a value: named tensors, ops that read and make them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

# Of an optional input that is not given.
ABSENT = ""
FLOAT_TYPES = ("float16", "float32", "float64", "bfloat16")


@dataclass(frozen=True, slots=True, eq=False)
class Quantisation:
    """How integers stand for numbers: `scale * (integer - zero_point)`.

    Attributes:
        scales: `(1,)` or `(channels,)` float32.
        zero_points: Of the same shape, int64.
        axis: Of the channels.
    """

    scales: NDArray[Any]
    zero_points: NDArray[Any]
    axis: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """What an op reads or makes.

    Attributes:
        name: Of its own in the graph.
        shape: Static; the batch is what the file says, 1 where it leaves it open.
        dtype: As NumPy spells it; types that NumPy lacks as the schema does, in small letters
            (`int4`, `bfloat16`, `string`).
        value: Of a constant, of this shape and dtype, not to be written to (it may be a view of the
            file); of a type that NumPy lacks, the bytes. `None` for what is computed.
        quantisation: `None` where numbers are what they are.
        open_axes: Axes whose size the file leaves open.
        is_variable: Whether it keeps what one invoke writes for the next, as recurrent nets want.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    value: NDArray[Any] | None = None
    quantisation: Quantisation | None = None
    open_axes: tuple[int, ...] = ()
    is_variable: bool = False

    @property
    def open_shape(self) -> tuple[int, ...]:
        """The shape with -1 for what the file leaves open."""
        return tuple(-1 if axis in self.open_axes else size for axis, size in enumerate(self.shape))

    @property
    def numbers(self) -> NDArray[np.float32]:
        """What the integers of a quantised constant stand for."""
        if self.value is None or self.quantisation is None:
            raise ValueError(f"tensor {self.name!r} is no quantised constant")
        sides = [1] * len(self.shape)
        if len(self.quantisation.scales) > 1:
            sides[self.quantisation.axis] = -1
        zeros, scales = (
            np.asarray(found, np.float32).reshape(sides)
            for found in (self.quantisation.zero_points, self.quantisation.scales)
        )
        return (self.value.astype(np.float32) - zeros) * scales


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """One operation.

    Attributes:
        kind: Builtin name as the schema spells it, such as `CONV_2D`, or a custom op's own.
        inputs: Tensor names; `ABSENT` for an optional one that is not given.
        outputs: Tensor names.
        options: As the schema spells them (`strideH`), with `padding` (`SAME`, `VALID`) and
            `fusedActivationFunction` (`NONE`, `RELU`, `RELU6` …) as words.
        version: Of the builtin.
        custom: Options of a custom op; `None` for a builtin.
        table: Name of the schema's table of the options where the kind does not tell it.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1
    custom: bytes | None = None
    table: str = ""

    @property
    def output(self) -> str:
        """Name of the first tensor that it makes."""
        return self.outputs[0]

    @property
    def activation(self) -> str:
        """The activation that is fused into it, or `NONE`."""
        return str(self.options.get("fusedActivationFunction", "NONE"))

    @property
    def strides(self) -> tuple[int, int]:
        """Rows and columns that a kernel moves on by."""
        return int(self.options.get("strideH", 1)), int(self.options.get("strideW", 1))

    @property
    def dilations(self) -> tuple[int, int]:
        """Rows and columns between the places that a kernel reads, 1 for neighbours."""
        rows, columns = (self.options.get(f"dilation{axis}Factor", 1) for axis in "HW")
        return int(rows or 1), int(columns or 1)


@dataclass(frozen=True, eq=False)
class Graph:
    """A model: never changed, edits make another.

    Attributes:
        tensors: By name, in the file's order.
        ops: In an order in which each comes after what it reads.
        inputs: Tensor names.
        outputs: Tensor names.
    """

    tensors: Mapping[str, Tensor]
    ops: tuple[Op, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @cached_property
    def producers(self) -> Mapping[str, Op]:
        """The op that makes a tensor, by its name; constants and inputs have none."""
        return {name: op for op in self.ops for name in op.outputs}

    @cached_property
    def readers(self) -> Mapping[str, tuple[Op, ...]]:
        """The ops that read a tensor, by its name; one that none reads is left out."""
        found: dict[str, list[Op]] = {}
        for op in self.ops:
            for name in dict.fromkeys(op.inputs):
                if name != ABSENT:
                    found.setdefault(name, []).append(op)
        return {name: tuple(ops) for name, ops in found.items()}

    def value(self, name: str) -> NDArray[Any] | None:
        """Return a constant's value; `None` for what is computed, and for an absent input."""
        return self.tensors[name].value if name != ABSENT else None

    def is_constant(self, name: str) -> bool:
        """Return whether a tensor is stored in the file; an absent one is not."""
        return name != ABSENT and self.tensors[name].value is not None

    def computed_inputs(self, op: Op) -> tuple[str, ...]:
        """Return the inputs of an op that are neither constants nor absent."""
        return tuple(
            name for name in op.inputs if name != ABSENT and self.tensors[name].value is None
        )

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape."""
        return self.tensors[name].shape

    def sole_reader(self, name: str) -> Op | None:
        """Return the one op that reads a tensor; `None` if more do, none, or it is an output."""
        readers = self.readers.get(name, ())
        return readers[0] if len(readers) == 1 and name not in self.outputs else None

    def dtypes(self, op: Op) -> tuple[str, ...]:
        """Return the types of what an op reads and makes, each once."""
        names = (name for name in (*op.inputs, *op.outputs) if name != ABSENT)
        return tuple(dict.fromkeys(self.tensors[name].dtype for name in names))

    def float_ops(self) -> tuple[Op, ...]:
        """Return the ops that read or make a float tensor."""
        return tuple(op for op in self.ops if not set(FLOAT_TYPES).isdisjoint(self.dtypes(op)))
