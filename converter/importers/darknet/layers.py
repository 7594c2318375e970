"""Each kind of section of a Darknet `.cfg`: what it does, what comes out, how it is written.

Nothing is allocated at reading, and every size is held to a limit: a cfg is untrusted input.
Source: the `parse_*` and `make_*_layer` functions of Darknet (src/parser.c, src/*_layer.c) in both
lines, pjreddie's and AlexeyAB's, which agree unless said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Literal

from converter.graph.building import Builder
from converter.graph.building_images import Window, max_pool

if TYPE_CHECKING:
    from converter.importers.darknet.cfg import Section

# The number of the image, as a layer's source.
INPUT = -1
# The largest networks known have 4,096 channels.
MAX_CHANNELS, MAX_CELLS = 2**15, 64

Shape = tuple[int, int, int]
# Adds an operation on the values of the sources.
Write = Callable[[Builder, Sequence[str]], str]


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution, and where it has one its batch normalisation.

    Attributes:
        kernel: Filters, channels of a group, rows, columns.
    """

    kernel: tuple[int, int, int, int]
    window: Window
    groups: int
    is_normalized: bool

    @property
    def vectors(self) -> int:
        """How many numbers each filter has beside its kernel: a bias, or the normalisation too."""
        return 4 if self.is_normalized else 1

    def weights(self) -> int:
        """Return how many numbers of the weights file are its own."""
        return self.vectors * self.kernel[0] + prod(self.kernel)


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
    sides: Literal["exp", "square"]
    activation: Literal["sigmoid", "softmax"]
    scale_xy: float


@dataclass(frozen=True, slots=True)
class Layer:
    """One section.

    Attributes:
        sources: Numbers of the layers it reads, `INPUT` for the image.
        shape: Height, width, channels of what it makes; of a head, of what it reads.
        where: File, line and name, for messages.
        activation: What comes after the operation, one of `ACTIVATIONS`.
    """

    operation: Convolution | Head | Write
    sources: tuple[int, ...]
    shape: Shape
    where: str
    activation: str


# An operation, the shape of what comes out, and the layers that it reads beside the one before.
Made = tuple[Convolution | Head | Write, Shape, tuple[int, ...]]


def spelt(shape: Shape) -> str:
    """Return a shape as messages say it."""
    return "{} x {} x {} (height, width, channels)".format(*shape)


@dataclass(frozen=True, slots=True)
class Place:
    """A section, and the layers before it."""

    section: Section
    layers: list[Layer]
    image: Shape

    @property
    def shape(self) -> Shape:
        """What the layer just before makes."""
        return self.shape_of(len(self.layers) - 1)

    def shape_of(self, number: int) -> Shape:
        """Return the shape of what a layer makes."""
        if number == INPUT:
            return self.image
        layer = self.layers[number]
        if isinstance(layer.operation, Head):
            raise self.section.fault(
                "to read a layer that makes an image", f"layer {number}, a head"
            )
        return layer.shape

    def references(self, key: str) -> tuple[int, ...]:
        """Return the layers of a list; a negative number counts back from this one."""
        here = len(self.layers)
        numbers = self.section.integers(key, low=-here, high=here - 1)
        return tuple(number if number >= 0 else here + number for number in numbers)

    def cells(self, key: str, default: int, *, low: int = 1) -> int:
        """Return the size, stride or padding of a window."""
        return self.section.integer(key, default, low=low, high=MAX_CELLS)

    def strides(self) -> tuple[int, int]:
        """Return rows and columns that a window moves on by."""
        stride = self.cells("stride", 1)
        return self.cells("stride_y", stride), self.cells("stride_x", stride)


def _convolution(place: Place) -> Made:
    section, (height, width, channels) = place.section, place.shape
    size = place.cells("size", 1)
    pad = place.cells("padding", 0, low=0)
    if place.cells("pad", 0, low=0):
        pad = size // 2
    filters = section.integer("filters", 1, low=1, high=MAX_CHANNELS)
    groups = section.integer("groups", 1, low=1, high=MAX_CHANNELS)
    if channels % groups or filters % groups:
        raise section.fault(
            f"'groups' to divide {channels} channels and {filters} filters", f"{groups}"
        )
    window = Window((size, size), place.strides(), pads=((pad, pad), (pad, pad)))
    kernel = (filters, channels // groups, size, size)
    rows, columns = window.out_hw((height, width))
    operation = Convolution(kernel, window, groups, section.flag("batch_normalize"))
    return operation, (rows, columns, filters), ()


def _max_pool(place: Place) -> Made:
    section, (height, width, channels) = place.section, place.shape
    strides = place.strides()
    size = place.cells("size", strides[1])
    pad = place.cells("padding", size - 1, low=0)
    if pad > size or pad == size == 1:  # else a window could lie in the padding alone
        raise section.fault(f"'padding' of at most the size, {size}, of size 1 of 0", f"{pad}")
    # Of the sum of both sides the first gets the smaller half.
    pads = (pad // 2, pad - pad // 2)
    window = Window((size, size), strides, pads=(pads, pads))
    rows, columns = window.out_hw((height, width))
    shape = (rows, columns, channels)
    return lambda builder, values: max_pool(builder, values[0], window), shape, ()


def _average(place: Place) -> Made:
    made = (1, 1, place.shape[2])
    return lambda builder, values: builder.reduce("MEAN", values[0], (1, 2)), made, ()


def _route(place: Place) -> Made:
    """Read layers one behind the other, of each the part `group` of `groups`."""
    section, sources = place.section, place.references("layers")
    shapes = [place.shape_of(number) for number in sources]
    if len({shape[:2] for shape in shapes}) > 1:
        raise section.fault("layers of one height and width", f"{[shape[:2] for shape in shapes]}")
    groups = section.integer("groups", 1, low=1, high=MAX_CHANNELS)
    group = section.integer("group_id", 0, low=0, high=groups - 1)
    if any(shape[2] % groups for shape in shapes):
        raise section.fault(f"'groups' to divide {[shape[2] for shape in shapes]}", f"{groups}")
    counts = [shape[2] // groups for shape in shapes]

    def write(builder: Builder, values: Sequence[str]) -> str:
        parts = [
            builder.part(value, 3, start=group * count, stop=(group + 1) * count)
            for value, count in zip(values, counts, strict=True)
        ]
        return builder.concat(parts, 3)

    return write, (*shapes[0][:2], sum(counts)), sources


def _shortcut(place: Place) -> Made:
    """Read a sum: the layer before keeps its channels, the others add their first ones.

    Source: `shortcut_cpu` of Darknet, src/blas.c.
    """
    shape, others = place.shape, place.references("from")
    for number in others:
        if place.shape_of(number)[:2] != shape[:2]:
            raise place.section.fault(
                f"layer {number} to have the height and width of the layer before, {spelt(shape)}",
                spelt(place.shape_of(number)),
            )

    def write(builder: Builder, values: Sequence[str]) -> str:
        value, *rest = values
        for other in rest:
            count = min(shape[2], builder.shape(other)[3])
            part = builder.part(other, 3, start=0, stop=count)
            padded = builder.pad(part, [(0, 0)] * 3 + [(0, shape[2] - count)])
            value = builder.binary("ADD", value, padded)
        return value

    return write, shape, others


def _product(place: Place) -> Made:
    """Read `sam`, value by value, and `scale_channels`, one factor a channel."""
    others = place.references("from")
    shape = place.shape_of(others[0])
    wanted = shape if place.section.kind == "sam" else (1, 1, shape[2])
    if len(others) > 1 or place.shape != wanted:
        raise place.section.fault(
            f"one layer in 'from', for which the layer before has the shape {spelt(wanted)}",
            spelt(place.shape),
        )
    return lambda builder, values: builder.binary("MUL", *values), shape, others


def _upsample(place: Place) -> Made:
    (height, width, channels), stride = place.shape, place.cells("stride", 2)
    size_hw = (height * stride, width * stride)

    def write(builder: Builder, values: Sequence[str]) -> str:
        return builder.resize("RESIZE_NEAREST_NEIGHBOR", values[0], size_hw)

    return write, (*size_hw, channels), ()


def _reorg(place: Place) -> Made:
    """Read Darknet's reorg, which takes its input for an image of other sides.

    The values, channel by channel, are read as C / s^2 channels of sH x sW; each s x s block of
    these becomes s^2 groups of channels, and the result is read as C s^2 channels of H/s x W/s.
    Source: `reorg_cpu` of Darknet, src/blas.c, with forward = 0.
    """
    (height, width, channels), stride = place.shape, place.cells("stride", 1)
    if height % stride or width % stride or channels % stride**2:
        raise place.section.fault(
            f"height and width to be multiples of the stride {stride}, channels of its square",
            spelt(place.shape),
        )
    made = (height // stride, width // stride, channels * stride**2)

    def write(builder: Builder, values: Sequence[str]) -> str:
        value = builder.transpose(values[0], (0, 3, 1, 2))  # (1, C, H, W)
        value = builder.reshape(value, (channels // stride**2, height, stride, width, stride))
        value = builder.transpose(value, (2, 4, 0, 1, 3))  # (s, s, C / s^2, H, W)
        value = builder.reshape(value, (1, made[2], *made[:2]))
        return builder.transpose(value, (0, 2, 3, 1))

    return write, made, ()


def _nothing(place: Place) -> Made:
    """Read what changes nothing, or only by its activation."""
    return lambda _builder, values: values[0], place.shape, ()


LAYERS: dict[str, Callable[[Place], Made]] = {
    "convolutional": _convolution,
    "maxpool": _max_pool,
    "avgpool": _average,
    "route": _route,
    "shortcut": _shortcut,
    "scale_channels": _product,
    "sam": _product,
    "upsample": _upsample,
    "reorg": _reorg,
    "activation": _nothing,
    "dropout": _nothing,
}
