"""The layers of a Darknet `.cfg` and the numbers of its `.weights`, both untrusted input.

A weights file is a header, then the float32 numbers of every convolution in order.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from converter.importers.darknet.cfg import read_sections, shown
from converter.importers.darknet.layers import (
    LAYERS,
    MAX_CHANNELS,
    Convolution,
    Head,
    Layer,
    Made,
    Place,
    Shape,
    spelt,
)
from converter.importers.heads.fields import BOX_AND_OBJECTNESS
from converter.importers.lookalikes import HEAD_BYTES, refuse_pointer
from edge.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.importers.darknet.cfg import Section

# The largest networks known: 1,024 px inputs, 6.4e7 weights, 7.6e7 values a layer.
MAX_SIDE_PX, MAX_WEIGHTS, MAX_VALUES = 4096, 2**28, 2**27
MAX_ANCHORS, MAX_CLASSES = 100, 10_000
# Widths and heights, in pixels for yolo and in cells for region.
MIN_SIDE, MAX_SIDE = 1e-3, 1e5
MAX_SCALE = 4.0
# What Darknet calls them; an unknown name is ReLU to Darknet and refused here.
ACTIVATIONS = ("linear", "leaky", "relu", "relu6", "mish", "logistic", "swish", "tanh")
# What stands for none; of a convolution it is Darknet's own default, odd as it is.
ACTIVATED = {
    "convolutional": "logistic", "shortcut": "linear", "scale_channels": "linear", "sam": "linear",
    "activation": "linear",
}  # fmt: skip
VERSION = struct.Struct("<3i")
# Since format 0.2 the count of images seen is of 64 bits.
# Source: `load_weights_upto` of Darknet, src/parser.c.
WIDE_SEEN_SINCE = 2
# Above this the weights of fully connected layers are transposed; nothing else is known of such.
MAX_VERSION = 1000
# Under the root, as every CUDA kernel and `fuse_conv_batchnorm` (src/network.c, AlexeyAB) have it:
# weights are trained and used with it. Only pjreddie's CPU code has sqrt(variance) + 1e-6, and
# OpenCV sqrt(variance + 1e-6).
EPSILON = 1e-5

Version = tuple[int, int, int]


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
        return (*self.size_wh[::-1], self.channels)

    def heads(self) -> list[tuple[Layer, Head]]:
        """Return the layers that are heads, in order."""
        return [(layer, op) for layer in self.layers if isinstance(op := layer.operation, Head)]

    def convolutions(self) -> dict[int, Convolution]:
        """Return the convolutions by the number of their layer."""
        operations = ((number, layer.operation) for number, layer in enumerate(self.layers))
        return {number: op for number, op in operations if isinstance(op, Convolution)}

    def weights(self) -> int:
        """Return how many numbers its file of weights holds."""
        return sum(convolution.weights() for convolution in self.convolutions().values())


def read_network(path: Path) -> Network:
    """Return the network of a cfg.

    Raises:
        ModelError: It is no cfg, or holds a section or a value that is not supported.
    """
    net, *sections = read_sections(path)
    width, height = (net.integer(key, 0, low=1, high=MAX_SIDE_PX) for key in ("width", "height"))
    channels = net.integer("channels", 3, low=1, high=MAX_CHANNELS)
    if not width or not height:
        raise net.fault("'width' and 'height' of the input", "none")
    image = (height, width, channels)
    layers: list[Layer] = []
    kinds = {**LAYERS, "yolo": _head, "region": _head}
    for section in sections:
        if section.kind not in kinds:
            raise section.fault(f"one of {', '.join(kinds)}", shown(section.kind))
        section.check_neutral()
        operation, shape, others = kinds[section.kind](Place(section, layers, image))
        _check_size(section, shape)
        before = () if section.kind == "route" else (len(layers) - 1,)
        activation = _activation(section)
        layers.append(Layer(operation, (*before, *others), shape, section.where, activation))
    letterbox = net.flag("letter_box") if "letter_box" in net.options else None
    warnings = tuple(warning for section in sections for warning in section.unknown())
    network = Network(path, (width, height), channels, letterbox, tuple(layers), warnings)
    if network.weights() > MAX_WEIGHTS:
        raise net.fault(f"at most {MAX_WEIGHTS} weights", f"{network.weights()}")
    return network


def _activation(section: Section) -> str:
    if section.kind not in ACTIVATED:
        return "linear"
    name = section.text("activation", ACTIVATED[section.kind])
    if name not in ACTIVATIONS:
        raise section.fault(f"an activation, one of {', '.join(ACTIVATIONS)}", shown(name))
    return name


def _check_size(section: Section, shape: Shape) -> None:
    if min(shape) < 1:
        raise section.fault("something to come out", spelt(shape))
    if shape[2] > MAX_CHANNELS:
        raise section.fault(f"at most {MAX_CHANNELS} channels", f"{shape[2]}")
    if prod(shape) > MAX_VALUES:
        raise section.fault(f"at most {MAX_VALUES} values", spelt(shape))


def _head(place: Place) -> Made:
    """Read `[yolo]`, or `[region]`, whose anchors are in cells.

    `new_coords` stands for sigmoids in the convolution before, and squared sides.
    Source: `parse_yolo`, `get_yolo_box`, `parse_region` and `get_region_box` of Darknet.
    """
    section, shape = place.section, place.shape
    below = place.layers[-1].operation if place.layers else None
    if not isinstance(below, Convolution) or below.groups > 1:
        raise section.fault("a convolution of one group just before", "another layer")
    is_region = section.kind == "region"
    total = section.integer("num", 1, low=1, high=MAX_ANCHORS)
    classes = section.integer("classes", 20, low=1, high=MAX_CLASSES)
    anchors = section.numbers("anchors", low=MIN_SIDE, high=MAX_SIDE)
    if len(anchors) != 2 * total:
        raise section.fault(
            f"{2 * total} numbers in 'anchors' for 'num = {total}'", str(len(anchors))
        )
    mask = tuple(range(total))
    if not is_region and section.text("mask"):
        mask = section.integers("mask", low=0, high=total - 1)
    if len(set(mask)) < len(mask):
        raise section.fault("each anchor once in 'mask'", f"{list(mask)}")
    filters = len(mask) * (BOX_AND_OBJECTNESS + classes)
    if shape[2] != filters:
        raise section.fault(
            f"'filters = {filters}' in the convolution before, as its anchors and classes say",
            f"{shape[2]}",
        )
    is_squared = not is_region and section.flag("new_coords")
    wanted, found = "logistic" if is_squared else "linear", place.layers[-1].activation
    if found != wanted:
        raise section.fault(f"'activation = {wanted}' in the convolution before", shown(found))
    height, width, _ = place.image
    unit_w, unit_h = (width / shape[1], height / shape[0]) if is_region else (1, 1)
    head = Head(
        anchors_px=tuple((anchors[2 * at] * unit_w, anchors[2 * at + 1] * unit_h) for at in mask),
        mask=mask,
        total=total,
        classes=classes,
        sides="square" if is_squared else "exp",
        activation="softmax" if is_region and section.flag("softmax") else "sigmoid",
        scale_xy=1.0 if is_region else section.number("scale_x_y", 1.0, low=1.0, high=MAX_SCALE),
    )
    return head, shape, ()


class Filters(NamedTuple):
    """What a convolution multiplies with and adds, its normalisation folded in.

    Attributes:
        kernel: `(filters, channels / groups, size, size)` float32.
        bias: `(filters,)` float32.
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]


def read_weights(path: Path, network: Network) -> tuple[Version, dict[int, Filters]]:
    """Return the version of a file of weights, and each convolution's, by the layer's number.

    Raises:
        ModelError: The file is missing, damaged, or does not fit the network.
    """
    try:
        version, numbers = _numbers(path, network)
    except FileNotFoundError as error:
        raise ModelError(
            f"{path}: no such file; put the weights of {network.path} there, or name them with: "
            "--weights FILE"
        ) from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {os.strerror(error.errno or 0)}") from error
    found = {}
    for number, convolution in network.convolutions().items():
        own, numbers = np.split(numbers, [convolution.weights()])
        found[number] = _filters(convolution, own)
        if not all(np.isfinite(values).all() for values in found[number]):
            raise ModelError(
                f"{path}: expected finite weights with variances of at least 0, found others "
                f"for {network.layers[number].where}; copy the weights again"
            )
    return version, found


def _numbers(path: Path, network: Network) -> tuple[Version, NDArray[np.float32]]:
    """Return the version, and all that is behind the header."""
    with path.open("rb") as file:
        refuse_pointer(file.read(HEAD_BYTES), path, "the weights of a Darknet model")
        file.seek(0)
        version = _version(path, file.read(VERSION.size))
        header = VERSION.size + (8 if version[0] * 10 + version[1] >= WIDE_SEEN_SINCE else 4)
        expected = header + 4 * network.weights()
        size = file.seek(0, os.SEEK_END)
        if size != expected:
            raise ModelError(
                f"{path}: expected {expected} bytes of weights for {network.path}, found "
                f"{size}; give the weights that belong to this cfg"
            )
        file.seek(header)
        return version, np.frombuffer(file.read(), "<f4")


def _version(path: Path, data: bytes) -> Version:
    found, cure = f"{len(data)} bytes", "copy the weights again"
    if len(data) == VERSION.size:
        major, minor, revision = VERSION.unpack(data)
        if all(0 <= part <= MAX_VERSION for part in (major, minor, revision)):
            return major, minor, revision
        found = f"a file that begins with {data!r}"
        cure = "give the .weights that belong to the cfg"
    raise ModelError(f"{path}: expected the weights of a Darknet model, found {found}; {cure}")


def _filters(convolution: Convolution, numbers: NDArray[np.float32]) -> Filters:
    """Cut the numbers of a convolution into bias, (scale, mean, variance) and kernel; fold."""
    wide, count = numbers.astype(np.float64), convolution.kernel[0]
    kernel = wide[convolution.vectors * count :].reshape(convolution.kernel)
    bias, *rows = wide[: convolution.vectors * count].reshape(-1, count)
    # What is not finite, or the root of what is negative, is found by the caller.
    with np.errstate(all="ignore"):
        if convolution.is_normalized:
            scale, mean, variance = rows
            factor = scale / np.sqrt(variance + EPSILON)
            bias = bias - mean * factor
            kernel = kernel * factor[:, None, None, None]
        return Filters(kernel.astype(np.float32), bias.astype(np.float32))
