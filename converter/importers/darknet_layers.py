"""The layers of a Darknet network as plain values: what each does, on what, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

NEUTRAL_ACTIVATION = "linear"
# The number of the image, as a layer's source.
INPUT = -1
# Of tx, ty, tw, th and the objectness.
BOX_VALUES = 5

Shape = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution, and where it has one its batch normalisation; pads are zeros all round."""

    filters: int
    channels: int
    size: int
    stride_hw: tuple[int, int]
    pad: int
    groups: int
    normalized: bool

    def weights(self) -> int:
        """Return how many numbers of the weights file are its own."""
        vectors = 4 if self.normalized else 1
        kernel = self.filters * (self.channels // self.groups) * self.size**2
        return vectors * self.filters + kernel


@dataclass(frozen=True, slots=True)
class MaxPool:
    """A maximum; `pad` is the sum of both sides, of which the first gets the smaller half."""

    size: int
    stride_hw: tuple[int, int]
    pad: int


@dataclass(frozen=True, slots=True)
class Route:
    """The sources one behind the other, of each the part `group` of `groups`."""

    groups: int
    group: int


@dataclass(frozen=True, slots=True)
class Combine:
    """The sources added (`sum`) or multiplied (`product`), one value a channel spread out."""

    how: str


@dataclass(frozen=True, slots=True)
class Resample:
    """`upsample` repeats, `reorg` moves space into channels, `average` is over all the space."""

    how: str
    stride: int = 1


@dataclass(frozen=True, slots=True)
class Head:
    """One grid of boxes.

    Attributes:
        anchors_px: Width and height of each anchor of this grid, input pixels.
        mask: Which of the `total` anchors these are.
        sides: How a raw side becomes pixels, as `edge.decode.yolo.YoloHead` says it.
        activation: Of the classes.
        scale_xy: Of the centre in its cell.
    """

    anchors_px: tuple[tuple[float, float], ...]
    mask: tuple[int, ...]
    total: int
    classes: int
    sides: Literal["exp", "square"] = "exp"
    activation: Literal["sigmoid", "softmax"] = "sigmoid"
    scale_xy: float = 1.0


Operation = Convolution | MaxPool | Route | Combine | Resample | Head | None


@dataclass(frozen=True, slots=True)
class Layer:
    """One section.

    Attributes:
        operation: What it does; `None` hands its source on.
        sources: Numbers of the layers it reads, `INPUT` for the image.
        shape: Height, width, channels of what it makes; of a head, of what it reads.
        activation: What comes after the operation, one of `ACTIVATIONS`.
        where: File, line and name, for messages.
    """

    operation: Operation
    sources: tuple[int, ...]
    shape: Shape
    where: str
    activation: str = NEUTRAL_ACTIVATION


@dataclass(frozen=True, slots=True)
class Network:
    """All layers in order.

    Attributes:
        size_wh: Of the input, pixels.
        channels: Of the input.
        letterbox: Whether images keep their aspect; `None` where the cfg does not say.
        warnings: Keys that nothing here knows.
    """

    path: Path
    size_wh: tuple[int, int]
    channels: int
    letterbox: bool | None
    layers: tuple[Layer, ...]
    warnings: tuple[str, ...]

    @property
    def input_shape(self) -> Shape:
        """Height, width and channels of an image."""
        width, height = self.size_wh
        return height, width, self.channels

    def heads(self) -> list[tuple[Layer, Head]]:
        """Return the layers that are heads, in order."""
        return [(layer, op) for layer in self.layers if isinstance(op := layer.operation, Head)]

    def convolutions(self) -> dict[int, Convolution]:
        """Return the convolutions by the number of their layer."""
        operations = ((number, layer.operation) for number, layer in enumerate(self.layers))
        return {number: op for number, op in operations if isinstance(op, Convolution)}


def spelt(shape: Shape) -> str:
    """Return a shape as messages say it."""
    height, width, channels = shape
    return f"{height} x {width} x {channels} (height, width, channels)"
