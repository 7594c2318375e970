"""U-Nets: on a MobileNetV2, and the classic one with padding or without.

Source: Ronneberger et al. 2015, "U-Net: Convolutional Networks for Biomedical Image Segmentation".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from converter.train.nets.layers import IMAGE, Layers, multiple
from converter.train.nets.mobilenet import mobilenet_v2, trained
from edge.decode.segmentation import SegmentationHead
from edge.errors import ConfigError

if TYPE_CHECKING:
    from converter.draft import Draft
    from converter.train.nets.wish import Wish

DEPTH, FIRST = 4, 64
# Channels of the way up, by the stride that it comes to. Source: as TensorFlow's public
# segmentation tutorial has them, whose encoder this is.
UP = {16: 256, 8: 128, 4: 64, 2: 32}
BINARY = 2
# Of the net without padding: what its convolutions take off each side in all, and what is left of
# a side that all levels can halve. Source: figure 1: 572 to 388.
MARGIN, OVER = 92, 4


def mobilenet(wish: Wish) -> Draft:
    """Return a U-Net whose way down is a MobileNetV2; the map is of the input's size."""
    wish.check_sides(2 ** (DEPTH + 1))
    weights = trained(wish.backbone) if wish.width == 1 else ()
    net = Layers(wish.size_wh, seed=wish.seed, trained=weights)
    taps = mobilenet_v2(net, IMAGE, width=wish.width, last=False)
    x = taps[32]
    for stride, channels in UP.items():
        up = net.resized(x, taps[stride])
        out = multiple(channels * wish.width / 2)
        # Separable: the whole ones would take three quarters of the net's time.
        joined = net.b.concat([net.conv(up, out, kernel=1, own=True), taps[stride]], 3)
        x = net.conv(net.depthwise(joined, own=True), out, kernel=1, own=True)
    # Resized last: of one class that is a channel in place of 16.
    return _ends(net, wish, net.resized(_scores(net, wish, x), IMAGE))


def same(wish: Wish) -> Draft:
    """Return the classic net with padded convolutions; the map is of the input's size."""
    wish.check_sides(2**DEPTH)
    net = Layers(wish.size_wh, seed=wish.seed)
    return _ends(net, wish, _scores(net, wish, _classic(net, IMAGE, wish, padding="same")))


def valid(wish: Wish) -> Draft:
    """Return the classic net without padding, 572 pixels to 388: the input is those 388.

    What is missing around it the graph mirrors, as the paper does where its tiles leave the image;
    so the map is of the input's size, and covers it.
    """
    if any(side % 2**DEPTH != OVER or side <= MARGIN for side in wish.size_wh):
        raise ConfigError(
            f"expected input sides of {OVER} more than a multiple of {2**DEPTH}, over {MARGIN}, "
            f"found {'x'.join(map(str, wish.size_wh))}; 388 is the paper's"
        )
    net = Layers(wish.size_wh, seed=wish.seed)
    pads = [(0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)]
    wide = net.b.mirror_pad(IMAGE, pads, with_edge=False)
    return _ends(net, wish, _scores(net, wish, _classic(net, wide, wish, padding="valid")))


def _classic(net: Layers, x: str, wish: Wish, *, padding: str) -> str:
    skips = []
    for level in range(DEPTH):
        x = _twice(net, x, multiple(FIRST * 2**level * wish.width), padding=padding)
        skips.append(x)
        x = net.pool(x)
    x = _twice(net, x, multiple(FIRST * 2**DEPTH * wish.width), padding=padding)
    for skip in reversed(skips):
        out = net.shape(skip)[3]
        up = net.doubled(x, out)
        x = _twice(net, net.b.concat([_middle(net, skip, up), up], 3), out, padding=padding)
    return x


def _twice(net: Layers, x: str, out: int, *, padding: str) -> str:
    return net.conv(net.conv(x, out, padding=padding), out, padding=padding)


def _middle(net: Layers, x: str, like: str) -> str:
    """Return the middle of an image, of another's rows and columns."""
    for axis in (1, 2):
        size, wanted = net.shape(x)[axis], net.shape(like)[axis]
        start = (size - wanted) // 2
        x = net.b.part(x, axis, start=start, stop=start + wanted)
    return x


def _scores(net: Layers, wish: Wish, x: str) -> str:
    """Add one channel for a foreground, or one a class."""
    count = 1 if len(wish.labels) == BINARY else len(wish.labels)
    # As many pixels are of one class as of another: nothing speaks for scores that start small.
    return net.head(x, count, deviation=net.shape(x)[3] ** -0.5)


def _ends(net: Layers, wish: Wish, scores: str) -> Draft:
    binary = len(wish.labels) == BINARY
    graph = net.graph({"classes": scores})
    return wish.draft(graph, SegmentationHead(activation="sigmoid" if binary else "softmax"))
