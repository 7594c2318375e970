"""Find where a graph's preprocessing ends: the normalised image that its first convolution reads.

What stands before it, ``x * a + b`` per channel, becomes the transform of the manifest, so that the
board does it in the 256-entry table that it fills the input with anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from converter.choice import InputChoice
from converter.graphdef import Graph, Node, node_name
from edge.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")
PADDINGS = ("Pad", "PadV2", "MirrorPad", "SpaceToBatchND")
AFFINE = ("Mul", "Sub", "Add", "AddV2", "RealDiv")
CHANNELS = 3
# A std below this normalises an image that is in 0..1 already, or not an image at all.
MIN_PIXEL_STD = 2.0


@dataclass(frozen=True, slots=True)
class Entry:
    """Where an image enters a graph.

    Attributes:
        feed: Node whose output becomes the input.
        transform: What the graph's own normalisation says, which lies before the feed.
    """

    feed: str
    transform: InputChoice | None


def find_entry(graph: Graph, fetches: Iterable[str]) -> Entry:
    """Return where to feed a normalised image for these fetches.

    Raises:
        ModelError: The fetches hang on no image, or on several inputs.
    """
    part = graph.between(fetches, feed="")
    placeholder = _placeholder(part)
    first = _first_convolution(part)
    if first is None:
        return Entry(_cast_of(part, placeholder), None)
    top = part.source(first)
    while top is not None and top.op in PADDINGS:
        top = part.source(top)
    if top is None or placeholder.name in part.between(fetches, feed=top.name).nodes:
        return Entry(_cast_of(part, placeholder), None)
    scale, shift, behind = _affine(part, top)
    std = 1 / scale
    if behind is top or std.min() < MIN_PIXEL_STD:
        reaches_input = behind.op in ("Placeholder", "Cast")
        return Entry(_cast_of(part, placeholder) if reaches_input else behind.name, None)
    mean = tuple(_significant(value) for value in -shift / scale)
    stds = tuple(_significant(value) for value in std)
    return Entry(top.name, InputChoice(mean=_triple(mean), std=_triple(stds)))


def input_size(graph: Graph, choice: InputChoice) -> tuple[int, int]:
    """Return the input's width and height in pixels: what the person says, or the graph.

    Raises:
        ConfigError: Neither does.
    """
    if choice.size_wh:
        return choice.size_wh
    shapes = [
        [int(dim["size"]) for dim in node.attrs.get("shape", {}).get("shape", {}).get("dim", [])]
        for node in graph.nodes.values()
        if node.op == "Placeholder"
    ]
    for shape in shapes:
        if len(shape) == CHANNELS + 1 and min(shape[1:3]) > 0:
            return shape[2], shape[1]
    raise ConfigError("the model takes an image of any size; say which: --size WIDTHxHEIGHT")


def _placeholder(part: Graph) -> Node:
    found = [node for node in part.nodes.values() if node.op == "Placeholder"]
    if len(found) != 1:
        names = ", ".join(node.name for node in found) or "none"
        raise ModelError(f"expected a model with one input, an image, found {names}")
    return found[0]


def _cast_of(part: Graph, placeholder: Node) -> str:
    """Return the input node, or what makes floats of it."""
    readers = [
        node
        for node in part.nodes.values()
        if placeholder.name in map(node_name, node.data_inputs())
    ]
    if len(readers) == 1 and readers[0].op == "Cast":
        return readers[0].name
    return placeholder.name


def _first_convolution(part: Graph) -> Node | None:
    """Return the one convolution that has none before it; None if there are several."""
    first = [
        node
        for node in part.nodes.values()
        if node.op in CONVOLUTIONS and not _has_convolution_before(part, node)
    ]
    return first[0] if len(first) == 1 else None


def _has_convolution_before(part: Graph, node: Node) -> bool:
    image = part.source(node)
    if image is None:
        return False
    # From the image's side only: a graph whose weights are computed is none that we can lower.
    before = part.between([image.name], feed="")
    return any(other.op in CONVOLUTIONS for other in before.nodes.values())


def _affine(part: Graph, top: Node) -> tuple[NDArray[np.float64], NDArray[np.float64], Node]:
    """Return scale and shift, `(3,)` each, of ``top = scale * behind + shift``, and behind."""
    scale, shift, node = np.ones(CHANNELS), np.zeros(CHANNELS), top
    while True:
        step = _step(part, node)
        if step is None:
            return scale, shift, node
        factor, term, behind = step
        if not (np.isfinite(factor).all() and (scale * factor > 0).all()):
            return scale, shift, node
        scale, shift, node = scale * factor, shift + scale * term, behind


def _step(part: Graph, node: Node) -> tuple[NDArray[np.float64], NDArray[np.float64], Node] | None:
    """Return factor and term of ``node = factor * behind + term``; None if it is anything else."""
    one, nothing = np.ones(CHANNELS), np.zeros(CHANNELS)
    if node.op == "Cast":
        behind = part.source(node)
        return None if behind is None or behind.op == "Placeholder" else (one, nothing, behind)
    if node.op not in AFFINE:
        return None
    left, right = part.source(node), part.source(node, 1)
    value, behind = _vector(part, right), left
    if value is None and node.op in ("Mul", "Add", "AddV2"):
        value, behind = _vector(part, left), right
    if value is None or behind is None:
        return None
    if node.op == "Mul":
        return value, nothing, behind
    if node.op == "RealDiv":
        return (1 / value, nothing, behind) if (value != 0).all() else None
    return one, -value if node.op == "Sub" else value, behind


def _vector(part: Graph, node: Node | None) -> NDArray[np.float64] | None:
    value: NDArray[Any] | None = None if node is None else part.constants.get(node.name)
    if value is None or value.size not in (1, CHANNELS) or value.dtype.kind not in "fiu":
        return None
    return np.broadcast_to(value.astype(np.float64).reshape(-1), (CHANNELS,))


def _significant(value: float) -> float:
    # The constants are float32: 6 digits are theirs.
    return float(f"{value:.6g}")


def _triple(values: tuple[float, ...]) -> tuple[float, float, float]:
    return values[0], values[1], values[2]
