"""What has been written of an ONNX model so far, and what the next operation reads of it.

ONNX has channels first, TFLite last. Each value is stored with its axes in some order, images with
channels last; an ONNX Transpose only renames axes, and an op is spent on it where the next one
needs another order: a handful a model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from converter.graph.building import Builder
from converter.importers.onnx import file as onnx_file
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from converter.importers.onnx.file import OnnxModel, OnnxNode

    Handler = Callable[["Call"], "Made | list[Made]"]

Order = tuple[int, ...]
Group = tuple[list[int], list[int]]
IMAGE: Order = (0, 2, 3, 1)


@dataclass(frozen=True, slots=True)
class Made:
    """A value as it is stored.

    Attributes:
        builder: Of the graph.
        name: Of the tensor.
        order: Of each of the tensor's axes, which axis of the ONNX value it is.
    """

    builder: Builder
    name: str
    order: Order

    @property
    def shape(self) -> Order:
        """In ONNX' order of axes."""
        stored = self.builder.shape(self.name)
        return tuple(stored[self.order.index(axis)] for axis in range(len(stored)))

    def alike(self, name: str) -> Made:
        """Return another tensor that is laid out as this one."""
        return replace(self, name=name)

    def laid(self, order: Order) -> str:
        """Return the tensor with its axes in this order."""
        return self.builder.transpose(self.name, [self.order.index(axis) for axis in order])

    def plain(self) -> str:
        """Return the tensor with its axes as ONNX has them."""
        return self.laid(tuple(range(len(self.order))))

    def with_rank(self, rank: int) -> Made:
        """Return it with axes of size 1 in front."""
        missing = rank - len(self.order)
        return self.reshaped((1,) * missing + self.shape) if missing > 0 else self

    def transposed(self, order: Sequence[int]) -> Made:
        """Return it with other names of its axes: nothing is written."""
        return replace(self, order=tuple(list(order).index(axis) for axis in self.order))

    def reshaped(self, shape: Sequence[int]) -> Made:
        """Return the same numbers in another shape.

        Where groups of axes only split or join, they stay where they are stored.
        """
        old, new = self.shape, tuple(map(int, shape))
        if math.prod(old) != math.prod(new):
            raise ModelError(f"expected a reshape to as many values as {old} has, found {new}")

        def place(group: Group) -> int:
            """Return where its first axis that is more than 1 long is stored."""
            places = ((old[axis] == 1, self.order.index(axis)) for axis in group[0])
            return min(places, default=(True, 0))[1]

        groups = _groups(old, new)
        stays = sorted(groups, key=place)
        moved = [axis for group in stays for axis in group[0] if old[axis] > 1]
        if moved != [axis for axis in self.order if old[axis] > 1]:
            # An image must be moved anyway: to where convolutions want it.
            stays = sorted(groups, key=lambda group: 1 in group[1] and len(new) == len(IMAGE))
        stored = tuple(axis for _, axes in stays for axis in axes)
        name = self.laid(tuple(axis for axes, _ in stays for axis in axes))
        return Made(
            self.builder, self.builder.reshape(name, tuple(new[axis] for axis in stored)), stored
        )


class Values:
    """The values of one model, by name: its constants and those computed of them, and what is made.

    The input `feed` of the graph is an image `(1, H, W, C)`.
    """

    def __init__(self, model: OnnxModel, feed: str) -> None:
        self.builder = Builder({feed: model.input_shape})
        self.constants = dict(model.constants)
        self.made = {model.input: Made(self.builder, feed, model.input_order)}
        self._nodes = {value: node for node in model.nodes for value in node.outputs}

    def add(self, node: OnnxNode, handlers: Mapping[str, Handler]) -> None:
        """Write what a node makes, or put it among the constants.

        Raises:
            ModelError: It is none that is read, or it gives another shape than ONNX says.
        """
        if node.op == "Shape":
            shape = self.get(node.inputs[0]).shape
            part = shape[node.attrs.get("start", 0) : node.attrs.get("end")]
            self.constants[node.outputs[0]] = np.array(part, np.int64)
            return
        values = onnx_file.folded(node, self.constants)
        if values:
            self.constants.update(values)
            return
        if node.op not in handlers:
            raise ModelError(f"found {node}, none of the {len(handlers)} operations read here")
        found = handlers[node.op](Call(self, node))
        shapes = self.shapes(node)
        all_made = [found] if isinstance(found, Made) else found
        for value, made in zip(node.outputs, all_made, strict=False):
            if made.shape != shapes.get(value, made.shape):
                raise ModelError(
                    f"expected {node} to give {shapes[value]} as ONNX says, found {made.shape}"
                )
            self.made[value] = made

    def leave(self, node: OnnxNode, reason: str) -> None:
        """Write custom ops that stand for a node which is not read, with the reason in them."""
        inputs = [self.made[value].plain() for value in node.inputs if value in self.made]
        told = self.shapes(node)
        for value in filter(None, node.outputs):
            shape = told.get(value, ())
            name = self.builder.add(node.op, inputs, shape, dtype="float32", custom=reason.encode())
            self.made[value] = Made(self.builder, name, tuple(range(len(shape))))

    def shapes(self, node: OnnxNode) -> dict[str, tuple[int, ...]]:
        """Return the shapes that a node's outputs have by the specification, where it tells."""
        computed = {
            name: (self.builder.dtype(self.made[name].name), self.made[name].shape)
            for name in node.inputs
            if name in self.made
        }
        return onnx_file.shapes_of(node, self.constants, computed)

    def inputs_of(self, value: str, op: str) -> tuple[str, ...]:
        """Return what the op that makes a value reads; nothing if another makes it."""
        node = self._nodes.get(value)
        return node.inputs if node and node.op == op else ()

    def is_number(self, value: str, number: float) -> bool:
        """Return whether a value is this constant."""
        found = self.constants.get(value)
        return found is not None and np.allclose(found, number, rtol=1e-4)

    def get(self, value: str) -> Made:
        """Return a value as it is stored; a constant is written first, as ONNX has it."""
        if value in self.constants:
            constant = self.constants[value]
            return Made(self.builder, self.builder.constant(constant), tuple(range(constant.ndim)))
        if value not in self.made:
            raise ModelError(f"expected value {value!r} to be computed, found nothing that does")
        return self.made[value]


@dataclass(frozen=True, slots=True)
class Call:
    """A node, and what it reads."""

    values: Values
    node: OnnxNode

    @property
    def builder(self) -> Builder:
        """Of the graph."""
        return self.values.builder

    @property
    def made(self) -> Made:
        """The first input as it is stored."""
        return self.values.get(self.node.inputs[0])

    @property
    def x(self) -> str:
        """The tensor of the first input, however it is laid out."""
        return self.made.name

    @property
    def image(self) -> str:
        """The tensor of the first input, an image with channels last."""
        made = self.made
        if len(made.order) != len(IMAGE):
            raise ModelError(
                f"expected {self.node} to read an image (1, C, height, width), found {made.shape}"
            )
        return made.laid(IMAGE)

    @property
    def out_shape(self) -> tuple[int, ...]:
        """What the specification says of the first output."""
        shape = self.values.shapes(self.node).get(self.node.outputs[0])
        if shape is None:
            raise ModelError(f"expected {self.node} to give a fixed shape, found none")
        return shape

    def attr(self, name: str, default: Any = None) -> Any:  # noqa: ANN401
        """Return an attribute."""
        return self.node.attrs.get(name, default)

    def axis(self, default: int = 0) -> int:
        """Return the attribute `axis`, counted from the front."""
        return int(self.attr("axis", default)) % len(self.made.order)

    def constant(self, place: int) -> NDArray[Any] | None:
        """Return an input that must be a constant; `None` where it is left out."""
        name = "".join(self.node.inputs[place : place + 1])
        if name and name not in self.values.constants:
            raise ModelError(f"expected input {name!r} of {self.node} to be a constant")
        return self.values.constants.get(name)

    def required(self, place: int) -> NDArray[Any]:
        """Return an input that must be there, and a constant."""
        value = self.constant(place)
        if value is None:
            raise ModelError(f"expected {self.node} to have input {place}, found none")
        return value

    def setting(self, name: str, place: int) -> list[Any] | None:
        """Return numbers that older opsets have as an attribute, newer ones as an input."""
        found = self.node.attrs.get(name, self.constant(place))
        return None if found is None else np.ravel(found).tolist()

    def operand(self, value: str, order: Order) -> str:
        """Return the tensor of an input beside others of this order; axes that it lacks are 1."""
        constant = self.values.constants.get(value)
        if constant is not None and constant.size == 1:
            return self.builder.constant(constant.reshape(()))
        if constant is not None:
            whole = constant.reshape((1,) * (len(order) - constant.ndim) + constant.shape)
            return self.builder.constant(whole.transpose(order))
        return self.values.get(value).with_rank(len(order)).laid(order)

    def common_order(self) -> Order:
        """Return how the computed inputs with the most axes are laid out; an image's wins."""
        made = self.values.made
        rank = max(len(self.values.get(value).order) for value in self.node.inputs)
        orders = [made[value].order for value in self.node.inputs if value in made]
        orders = [order for order in orders if len(order) == rank]
        if IMAGE in orders or (not orders and rank == len(IMAGE)):
            return IMAGE
        return orders[0] if orders else tuple(range(rank))

    def unary(self, kind: str, **options: Any) -> Made:  # noqa: ANN401
        """Write an op on each number of the first input, however it is laid out."""
        return self.alike(self.builder.unary(kind, self.x, **options))

    def alike(self, name: str) -> Made:
        """Return a tensor that is laid out as the first input."""
        return self.made.alike(name)

    def channels_last(self, name: str) -> Made:
        """Return a tensor that is an image."""
        return Made(self.builder, name, IMAGE)


def _groups(old: Sequence[int], new: Sequence[int]) -> list[Group]:
    """Return which axes of one shape become which of another, in the finest parts."""
    groups: list[Group] = []
    i = j = 0
    while i < len(old) and j < len(new):
        left, right, a, b = old[i], new[j], i + 1, j + 1
        while left != right:
            if left < right:
                left, a = left * old[a], a + 1
            else:
                right, b = right * new[b], b + 1
        groups.append((list(range(i, a)), list(range(j, b))))
        i, j = a, b
    rest = list(range(i, len(old))), list(range(j, len(new)))  # of size 1
    if not groups:
        return [rest]
    return [*groups[:-1], (groups[-1][0] + rest[0], groups[-1][1] + rest[1])]
