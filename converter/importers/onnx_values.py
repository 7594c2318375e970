"""What has been written of an ONNX model so far, and how each value is laid out.

Each value of four axes that convolutions make or read is an image: batch, row, column, channel.
What attention reshapes stays as ONNX has it. A Transpose is only written where the two meet, a
handful a model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from converter.graph_builder import GraphBuilder
from edge.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converter.importers.onnx_file import OnnxModel, OnnxNode

TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
IMAGE_AXES = 4


class Values:
    """The values of one model.

    Args:
        model: Whose values they are.
        feed: Name of the input node, an image `(1, H, W, 3)`.

    Attributes:
        builder: Writes the graph.
        constants: Of the model, by value name.
        made: Value name to the reference of what was written.
        images: Names of the values that are laid out channels last.
    """

    def __init__(self, model: OnnxModel, feed: str) -> None:
        self.builder = GraphBuilder(feed)
        self.constants = model.constants
        self.made = {model.input: feed}
        self.images = {model.input}
        self._shapes = model.shapes

    def shape(self, value: str) -> tuple[int, ...]:
        """Return a value's static shape, in ONNX' order of axes."""
        if value not in self._shapes:
            raise ModelError(f"expected a fixed shape of value {value!r}, found none")
        return self._shapes[value]

    def size_hw(self, value: str) -> tuple[int, int]:
        """Return height and width of an image."""
        _, _, height, width = self.shape(value)
        return height, width

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

    def image(self, value: str) -> str:
        """Return a value of four axes with channels last."""
        if value in self.images:
            return self.made[value]
        if value in self.constants:
            return self.builder.constant(last(self.constants[value]))
        if len(self.shape(value)) != IMAGE_AXES:
            raise ModelError(
                f"expected value {value!r} to be an image (1, C, height, width), found "
                f"{self.shape(value)}"
            )
        return self.builder.transpose(self.made[value], TO_LAST)

    def plain(self, value: str) -> str:
        """Return a value laid out as ONNX has it."""
        if value in self.constants:
            return self.builder.constant(self.constants[value])
        made = self.made[value]
        return self.builder.transpose(made, TO_FIRST) if value in self.images else made

    def keep(self, node: OnnxNode, made: str, *, image: bool, output: int = 0) -> None:
        """Note what was written for an output of a node, and how it is laid out."""
        self.made[node.outputs[output]] = made
        if image:
            self.images.add(node.outputs[output])

    def pointwise(self, node: OnnxNode, op: str, attrs: dict[str, Any] | None = None) -> None:
        """Write an op of the first input alone, which leaves the layout as it is."""
        value = node.inputs[0]
        made = self.builder.op(op, (self.made[value],), attrs)
        self.keep(node, made, image=value in self.images)


def last(value: NDArray[Any]) -> NDArray[Any]:
    """Return a constant with channels last, if it has the axes of an image."""
    return value.transpose(TO_LAST) if value.ndim == IMAGE_AXES else value
