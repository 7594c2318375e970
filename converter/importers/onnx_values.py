"""What has been written of an ONNX model so far, and how each value is laid out.

ONNX has channels first, TFLite last. Each value is stored with its axes in some order, images with
channels last; an ONNX Transpose only renames axes, and an op is spent on it where the next one
needs another order: a handful a model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from converter.graph.building import Builder
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from converter.importers.onnx_file import OnnxModel
    from converter.importers.onnx_folding import OnnxNode

    Order = tuple[int, ...]

IMAGE: tuple[int, ...] = (0, 2, 3, 1)


@dataclass(frozen=True, slots=True)
class Made:
    """A value as it is stored.

    Attributes:
        name: Of the tensor.
        order: Of each of the tensor's axes, which axis of the ONNX value it is.
    """

    name: str
    order: Order


class Values:
    """The values of one model.

    Args:
        model: Whose values they are.
        feed: Name of the input, an image `(1, H, W, C)`.

    Attributes:
        builder: Writes the graph.
        constants: Of the model, by value name.
        made: By value name.
        opset: Version of the operations.
    """

    def __init__(self, model: OnnxModel, feed: str) -> None:
        shape = model.shapes[model.input]
        self.builder = Builder({feed: tuple(shape[axis] for axis in model.input_order)})
        self.constants = model.constants
        self.made = {model.input: Made(feed, model.input_order)}
        self.opset = model.opset
        self._shapes = model.shapes

    def shape(self, value: str) -> tuple[int, ...]:
        """Return a value's static shape, in ONNX' order of axes."""
        if value in self.made:
            return self.shape_of(self.made[value])
        if value not in self._shapes:
            raise ModelError(f"expected a fixed shape of value {value!r}, found none")
        return self._shapes[value]

    def shape_of(self, made: Made) -> tuple[int, ...]:
        """Return the shape in ONNX' order of axes."""
        stored = self.builder.shape(made.name)
        return tuple(stored[made.order.index(axis)] for axis in range(len(stored)))

    def constant(self, node: OnnxNode, place: int) -> NDArray[Any] | None:
        """Return an input that must be a constant; `None` where it is left out."""
        if place >= len(node.inputs) or not node.inputs[place]:
            return None
        if node.inputs[place] not in self.constants:
            raise ModelError(
                f"expected input {place} of {node.op} ({node.name}) to be a constant, found a "
                "computed value"
            )
        return self.constants[node.inputs[place]]

    def required(self, node: OnnxNode, place: int) -> NDArray[Any]:
        """Return an input that must be there, and a constant."""
        value = self.constant(node, place)
        if value is None:
            raise ModelError(f"expected {node.op} ({node.name}) to have input {place}, found none")
        return value

    def setting(self, node: OnnxNode, name: str, place: int) -> list[Any] | None:
        """Return numbers that older opsets have as an attribute, newer ones as an input."""
        if name in node.attrs:
            found = node.attrs[name]
            return list(found) if isinstance(found, (list, tuple)) else [found]
        value = self.constant(node, place)
        return None if value is None else value.reshape(-1).tolist()

    def get(self, value: str) -> Made:
        """Return a value as it is stored; a constant is written first, as ONNX has it."""
        if value in self.constants:
            constant = self.constants[value]
            return Made(self.builder.constant(constant), plain(constant.ndim))
        if value not in self.made:
            raise ModelError(f"expected value {value!r} to be computed, found nothing that does")
        return self.made[value]

    def image(self, value: str) -> str:
        """Return the tensor of a value of four axes with channels last."""
        if len(self.shape(value)) != len(IMAGE):
            raise ModelError(
                f"expected value {value!r} to be an image (1, C, height, width), found "
                f"{self.shape(value)}"
            )
        return self.laid(self.get(value), IMAGE)

    def operand(self, value: str, order: Order) -> str:
        """Return the tensor of a value beside others of this order; axes that it lacks are 1."""
        rank = len(order)
        constant = self.constants.get(value)
        if constant is not None:
            if constant.size == 1:
                return self.builder.constant(constant.reshape(()))
            whole = constant.reshape((1,) * (rank - constant.ndim) + constant.shape)
            return self.builder.constant(whole.transpose(order))
        made = self.made[value]
        if len(made.order) < rank:
            shape = self.shape_of(made)
            made = self.reshaped(made, (1,) * (rank - len(shape)) + shape)
        return self.laid(made, order)

    def laid(self, made: Made, order: Order) -> str:
        """Return the tensor with its axes in this order."""
        return self.builder.transpose(made.name, [made.order.index(axis) for axis in order])

    def keep(self, node: OnnxNode, name: str, order: Order, *, output: int = 0) -> None:
        """Note what was written for an output of a node, and how it is laid out.

        Raises:
            ModelError: It has another shape than the file says.
        """
        value = node.outputs[output]
        made = Made(name, order)
        found, said = self.shape_of(made), self._shapes.get(value)
        if said is not None and found != said:
            raise ModelError(
                f"expected {node.op} ({node.name}) to give {said} as the file says, found {found}"
            )
        self.made[value] = made

    def leave(self, node: OnnxNode, reason: str) -> None:
        """Write a custom op that stands for a node which is not read, with the reason in it."""
        inputs = [self.made[value] for value in node.inputs if value in self.made]
        outputs = [value for value in node.outputs if value]
        shapes = [self._shapes.get(value, ()) for value in outputs]
        names = self.builder.add_many(
            node.op,
            [self.laid(made, plain(len(made.order))) for made in inputs],
            shapes,
            dtype="float32",
            custom=reason.encode(),
        )
        for value, name, shape in zip(outputs, names, shapes, strict=True):
            self.made[value] = Made(name, plain(len(shape)))

    def reshaped(self, made: Made, shape: Sequence[int]) -> Made:
        """Return the same numbers in another shape.

        Where groups of axes only split or join, they stay where they are stored.
        """
        old, new = self.shape_of(made), tuple(map(int, shape))
        if math.prod(old) != math.prod(new):
            raise ModelError(f"expected a reshape to as many values as {old} has, found {new}")
        groups = _groups(old, new)
        stays = sorted(groups, key=lambda group: _place(group[0], made.order, old))
        moved = [axis for group in stays for axis in group[0] if old[axis] > 1]
        if moved != [axis for axis in made.order if old[axis] > 1]:
            # An image must be moved anyway: to where convolutions want it.
            stays = sorted(groups, key=lambda group: 1 in group[1] and len(new) == len(IMAGE))
        stored = tuple(axis for _, axes in stays for axis in axes)
        name = self.laid(made, tuple(axis for axes, _ in stays for axis in axes))
        return Made(self.builder.reshape(name, tuple(new[axis] for axis in stored)), stored)

    def transposed(self, made: Made, order: Sequence[int]) -> Made:
        """Return a value with other names of its axes: nothing is written."""
        return Made(made.name, tuple(list(order).index(axis) for axis in made.order))

    def unary(self, node: OnnxNode, kind: str, **options: Any) -> None:  # noqa: ANN401
        """Write an op on each number of the first input, however it is laid out."""
        made = self.get(node.inputs[0])
        self.keep(node, self.builder.unary(kind, made.name, **options), made.order)


def plain(rank: int) -> tuple[int, ...]:
    """Return the order of axes that ONNX has."""
    return tuple(range(rank))


Group = tuple[list[int], list[int]]


def _groups(old: Sequence[int], new: Sequence[int]) -> list[Group]:
    """Return which axes of one shape become which of another, in the finest parts."""
    groups: list[Group] = []
    waiting: tuple[list[int], list[int]] = (list(range(len(old))), list(range(len(new))))
    while waiting[0] and waiting[1]:
        group: Group = ([waiting[0].pop(0)], [waiting[1].pop(0)])
        while True:
            sizes = [
                math.prod(shape[axis] for axis in axes)
                for shape, axes in zip((old, new), group, strict=True)
            ]
            if sizes[0] == sizes[1]:
                break
            side = int(sizes[1] < sizes[0])
            group[side].append(waiting[side].pop(0))
        groups.append(group)
    if not groups:
        return [waiting]
    for side in (0, 1):  # what is left has size 1
        groups[-1][side].extend(waiting[side])
    return groups


def _place(axes: Sequence[int], order: Order, shape: Sequence[int]) -> int:
    """Return where the first of these axes that is more than 1 long is stored."""
    return min(
        (order.index(axis) for axis in axes if shape[axis] > 1),
        default=min((order.index(axis) for axis in axes), default=0),
    )
