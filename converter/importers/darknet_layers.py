"""The layers of a Darknet network as plain values: what each does, on what, and what comes out.

The sections of heads, `[yolo]` and `[region]`, are read here: masks, anchors and classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from converter.importers.darknet_cfg import Section

NEUTRAL_ACTIVATION = "linear"
# The number of the image, as a layer's source.
INPUT = -1
# Of tx, ty, tw, th and the objectness.
BOX_VALUES = 5
MAX_ANCHORS = 100
MAX_CLASSES = 10_000
# Widths and heights, in pixels for yolo and in cells for region.
MIN_SIDE, MAX_SIDE = 1e-3, 1e5
MAX_SCALE = 4.0

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


# Of each kind: the keys that are read, and those that must be neutral.
HEAD_KEYS: dict[str, tuple[frozenset[str], dict[str, str]]] = {
    "yolo": (
        frozenset(["classes", "num", "mask", "anchors", "scale_x_y", "new_coords"]),
        {"map": "none"},
    ),
    "region": (
        frozenset(["classes", "num", "anchors", "softmax"]),
        {"coords": "4", "background": "0", "classfix": "0", "tree": "none", "map": "none"},
    ),
}


def read_yolo(section: Section, shape: tuple[int, int, int], *, size_wh: tuple[int, int]) -> Head:
    """Return the head of a `[yolo]` section that reads an image of this shape (H, W, C).

    `new_coords` stands for sigmoids in the convolution before, and squared sides.
    Source: `parse_yolo` and `get_yolo_box` of AlexeyAB's Darknet.
    """
    del size_wh  # Anchors are pixels already.
    total, classes = _counts(section)
    anchors = _anchors(section, total)
    mask = tuple(range(total))
    if "mask" in section.options:
        mask = section.integers("mask", low=0, high=total - 1)
    if len(set(mask)) < len(mask):
        raise section.fault("each anchor once in 'mask'", f"{list(mask)}")
    _check_channels(section, shape[2], len(mask) * (BOX_VALUES + classes))
    squared = section.integer("new_coords", 0, low=0, high=1)
    return Head(
        anchors_px=tuple(anchors[number] for number in mask),
        mask=mask,
        total=total,
        classes=classes,
        sides="square" if squared else "exp",
        scale_xy=section.number("scale_x_y", 1.0, low=1.0, high=MAX_SCALE),
    )


def read_region(section: Section, shape: tuple[int, int, int], *, size_wh: tuple[int, int]) -> Head:
    """Return the head of a `[region]` section; its anchors are in cells.

    Source: `parse_region` and `get_region_box` of Darknet.
    """
    total, classes = _counts(section)
    cell_wh = (size_wh[0] / shape[1], size_wh[1] / shape[0])
    anchors = tuple(
        (width * cell_wh[0], height * cell_wh[1]) for width, height in _anchors(section, total)
    )
    _check_channels(section, shape[2], total * (BOX_VALUES + classes))
    softmax = section.integer("softmax", 0, low=0, high=1)
    return Head(
        anchors_px=anchors,
        mask=tuple(range(total)),
        total=total,
        classes=classes,
        activation="softmax" if softmax else "sigmoid",
    )


def _counts(section: Section) -> tuple[int, int]:
    total = section.integer("num", 1, low=1, high=MAX_ANCHORS)
    return total, section.integer("classes", 20, low=1, high=MAX_CLASSES)


def _anchors(section: Section, total: int) -> list[tuple[float, float]]:
    sides = section.numbers("anchors", low=MIN_SIDE, high=MAX_SIDE)
    if len(sides) != 2 * total:
        raise section.fault(
            f"{2 * total} numbers in 'anchors' for 'num = {total}'", str(len(sides))
        )
    return list(zip(sides[::2], sides[1::2], strict=True))


def _check_channels(section: Section, found: int, expected: int) -> None:
    if found != expected:
        raise section.fault(
            f"'filters = {expected}' in the convolution before, as its anchors and classes say",
            f"{found}",
        )
