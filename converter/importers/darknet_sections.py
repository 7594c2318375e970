"""Read each section of a Darknet `.cfg` into a layer: what it does, on what, and what comes out.

Nothing is allocated here, and every size is held to a limit: a cfg is untrusted input.
Source: the `parse_*` and `make_*_layer` functions of Darknet (src/parser.c, src/*_layer.c) in both
lines, pjreddie's and AlexeyAB's, which agree unless said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from converter.importers.darknet_cfg import shown
from converter.importers.darknet_layers import (
    HEAD_KEYS,
    NEUTRAL_ACTIVATION,
    Combine,
    Convolution,
    Head,
    Layer,
    MaxPool,
    Resample,
    Route,
    Shape,
    read_region,
    read_yolo,
    spelt,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from converter.importers.darknet_cfg import Section

# The largest networks known: 1,024 px inputs, 4,096 channels, 6.4e7 weights, 7.6e7 values a layer.
MAX_SIDE_PX = 4096
MAX_CHANNELS = 2**15
MAX_KERNEL = 64
MAX_STRIDE = 64
# What Darknet calls them; an unknown name is ReLU to Darknet and refused here.
ACTIVATIONS = ("linear", "leaky", "relu", "relu6", "mish", "logistic", "swish", "tanh")


class Builder:
    """The layers read so far."""

    def __init__(self, section: Section) -> None:
        width = section.integer("width", 0, low=1, high=MAX_SIDE_PX)
        height = section.integer("height", 0, low=1, high=MAX_SIDE_PX)
        channels = section.integer("channels", 3, low=1, high=MAX_CHANNELS)
        if not width or not height:
            raise section.fault("'width' and 'height' of the input", "none")
        self.size_wh, self.channels = (width, height), channels
        self.layers: list[Layer] = []

    def shape(self, number: int) -> Shape:
        """Return the shape of what a layer makes."""
        return self.layers[number].shape if number >= 0 else (*self.size_wh[::-1], self.channels)

    def source(self, section: Section) -> tuple[int, Shape]:
        """Return the layer just before, and its shape."""
        return self.read(section, len(self.layers) - 1)

    def read(self, section: Section, number: int) -> tuple[int, Shape]:
        """Return a layer that a section reads, and its shape."""
        if number >= 0 and isinstance(self.layers[number].operation, Head):
            raise section.fault("to read a layer that makes an image", f"layer {number}, a head")
        return number, self.shape(number)

    def references(self, section: Section, key: str) -> tuple[int, ...]:
        """Return the layers of a list; a negative number counts back from this one."""
        here = len(self.layers)
        numbers = section.integers(key, low=-here, high=here - 1)
        return tuple(number if number >= 0 else here + number for number in numbers)


def _activation(section: Section, default: str = NEUTRAL_ACTIVATION) -> str:
    name = section.text("activation", default)
    if name not in ACTIVATIONS:
        raise section.fault(f"an activation, one of {', '.join(ACTIVATIONS)}", shown(name))
    return name


def _strides(section: Section) -> tuple[int, int]:
    stride = section.integer("stride", 1, low=1, high=MAX_STRIDE)
    vertical = section.integer("stride_y", stride, low=1, high=MAX_STRIDE)
    return vertical, section.integer("stride_x", stride, low=1, high=MAX_STRIDE)


def _convolution(section: Section, builder: Builder) -> Layer:
    source, (height, width, channels) = builder.source(section)
    size = section.integer("size", 1, low=1, high=MAX_KERNEL)
    pad = section.integer("padding", 0, low=0, high=MAX_KERNEL)
    if section.integer("pad", 0, low=0, high=MAX_KERNEL):
        pad = size // 2
    filters = section.integer("filters", 1, low=1, high=MAX_CHANNELS)
    groups = section.integer("groups", 1, low=1, high=MAX_CHANNELS)
    if channels % groups or filters % groups:
        raise section.fault(
            f"'groups' to divide {channels} channels and {filters} filters", f"{groups}"
        )
    operation = Convolution(
        filters=filters,
        channels=channels,
        size=size,
        stride_hw=_strides(section),
        pad=pad,
        groups=groups,
        normalized=bool(section.integer("batch_normalize", 0, low=0, high=1)),
    )
    rows, columns = (
        (side + 2 * pad - size) // stride + 1
        for side, stride in zip((height, width), operation.stride_hw, strict=True)
    )
    # Darknet's own default, odd as it is.
    activation = _activation(section, "logistic")
    return Layer(operation, (source,), (rows, columns, filters), section.where, activation)


def _max_pool(section: Section, builder: Builder) -> Layer:
    source, (height, width, channels) = builder.source(section)
    strides = _strides(section)
    size = section.integer("size", strides[1], low=1, high=MAX_KERNEL)
    pad = section.integer("padding", size - 1, low=0, high=MAX_KERNEL)
    if pad > size:
        raise section.fault(f"'padding' of at most the size, {size}", f"{pad}")
    rows, columns = (
        (side + pad - size) // stride + 1
        for side, stride in zip((height, width), strides, strict=True)
    )
    operation = MaxPool(size, strides, pad)
    return Layer(operation, (source,), (rows, columns, channels), section.where)


def _average(section: Section, builder: Builder) -> Layer:
    source, shape = builder.source(section)
    return Layer(Resample("average"), (source,), (1, 1, shape[2]), section.where)


def _route(section: Section, builder: Builder) -> Layer:
    sources = builder.references(section, "layers")
    shapes = [builder.read(section, number)[1] for number in sources]
    if len({shape[:2] for shape in shapes}) > 1:
        raise section.fault("layers of one height and width", f"{[shape[:2] for shape in shapes]}")
    groups = section.integer("groups", 1, low=1, high=MAX_CHANNELS)
    group = section.integer("group_id", 0, low=0, high=groups - 1)
    if any(shape[2] % groups for shape in shapes):
        raise section.fault(f"'groups' to divide {[shape[2] for shape in shapes]}", f"{groups}")
    channels = sum(shape[2] // groups for shape in shapes)
    return Layer(Route(groups, group), sources, (*shapes[0][:2], channels), section.where)


def _shortcut(section: Section, builder: Builder) -> Layer:
    source, shape = builder.source(section)
    others = builder.references(section, "from")
    for number in others:
        if builder.read(section, number)[1][:2] != shape[:2]:
            raise section.fault(
                f"layer {number} to have the height and width of the layer before, {spelt(shape)}",
                spelt(builder.shape(number)),
            )
    return Layer(Combine("sum"), (source, *others), shape, section.where, _activation(section))


def _product(section: Section, builder: Builder) -> Layer:
    """Read `sam`, value by value, and `scale_channels`, one factor a channel."""
    source, factor = builder.source(section)
    others = builder.references(section, "from")
    shape = builder.read(section, others[0])[1]
    wanted = shape if section.kind == "sam" else (1, 1, shape[2])
    if len(others) > 1 or factor != wanted:
        raise section.fault(
            f"one layer in 'from', for which the layer before has the shape {spelt(wanted)}",
            spelt(factor),
        )
    sources = (source, others[0])
    return Layer(Combine("product"), sources, shape, section.where, _activation(section))


def _upsample(section: Section, builder: Builder) -> Layer:
    source, (height, width, channels) = builder.source(section)
    stride = section.integer("stride", 2, low=1, high=MAX_STRIDE)
    shape = (height * stride, width * stride, channels)
    return Layer(Resample("upsample", stride), (source,), shape, section.where)


def _reorg(section: Section, builder: Builder) -> Layer:
    source, (height, width, channels) = builder.source(section)
    stride = section.integer("stride", 1, low=1, high=MAX_STRIDE)
    if height % stride or width % stride or channels % stride**2:
        raise section.fault(
            f"height and width to be multiples of the stride {stride}, channels of its square",
            spelt((height, width, channels)),
        )
    shape = (height // stride, width // stride, channels * stride**2)
    return Layer(Resample("reorg", stride), (source,), shape, section.where)


def _nothing(section: Section, builder: Builder) -> Layer:
    """Read what changes nothing, or only by its activation."""
    source, shape = builder.source(section)
    return Layer(None, (source,), shape, section.where, _activation(section))


def _head(section: Section, builder: Builder) -> Layer:
    source, shape = builder.source(section)
    below = builder.layers[source] if source >= 0 else None
    if below is None or not isinstance(below.operation, Convolution) or below.operation.groups > 1:
        raise section.fault("a convolution of one group just before", "another layer")
    read = read_region if section.kind == "region" else read_yolo
    head = read(section, shape, size_wh=builder.size_wh)
    wanted = "logistic" if head.sides == "square" else NEUTRAL_ACTIVATION
    if below.activation != wanted:
        raise section.fault(
            f"'activation = {wanted}' in the convolution before", shown(below.activation)
        )
    return Layer(head, (source,), shape, section.where)


class Row(NamedTuple):
    """A kind of section: its reader, the keys that it reads, and those that must be neutral."""

    read: Callable[[Section, Builder], Layer]
    keys: frozenset[str]
    only: dict[str, str]


def _row(
    read: Callable[[Section, Builder], Layer], keys: str = "", only: dict[str, str] | None = None
) -> Row:
    return Row(read, frozenset(keys.split()), only or {})


# A convolution that any of these changes is another operation, or has other weights.
CONVOLUTION_ONLY = {
    "antialiasing": "0",
    "bin_output": "0",
    "binary": "0",
    "cbn": "0",
    "coordconv": "0",
    "dilation": "1",
    "dontload": "0",
    "dontloadscales": "0",
    "flipped": "0",
    "reverse": "0",
    "rotate": "0",
    "share_index": "-1000000000",
    "stretch": "0",
    "stretch_sway": "0",
    "sway": "0",
    "xnor": "0",
}
STRIDES = "stride stride_x stride_y"
POOL_ONLY = {
    "maxpool_depth": "0",
    "out_channels": "1",
    "antialiasing": "0",
    "maxpool_zero_nonmax": "0",
}
SHORTCUT_ONLY = {"alpha": "1", "beta": "1", "weights_type": "none", "weights_normalization": "none"}
LAYERS = {
    "convolutional": _row(
        _convolution,
        f"filters size pad padding groups batch_normalize activation {STRIDES}",
        CONVOLUTION_ONLY,
    ),
    "maxpool": _row(_max_pool, f"size padding {STRIDES}", POOL_ONLY),
    "avgpool": _row(_average),
    "route": _row(_route, "layers groups group_id"),
    "shortcut": _row(_shortcut, "from activation", SHORTCUT_ONLY),
    "scale_channels": _row(_product, "from activation", {"scale_wh": "0"}),
    "sam": _row(_product, "from activation"),
    "upsample": _row(_upsample, "stride", {"scale": "1"}),
    "reorg": _row(_reorg, "stride", {"reverse": "0", "flatten": "0", "extra": "0"}),
    "activation": _row(_nothing, "activation"),
    "dropout": _row(_nothing),
    "yolo": Row(_head, *HEAD_KEYS["yolo"]),
    "region": Row(_head, *HEAD_KEYS["region"]),
}
ALIASES = {"conv": "convolutional", "max": "maxpool", "avg": "avgpool"}
