"""Single-shot detectors: SSD-MobileNetV2 (SSDLite), SSD7 and SSD300.

Source: Liu et al. 2016, "SSD: Single Shot MultiBox Detector"; Sandler et al. 2018, section 6.2
(SSDLite: separable heads).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from converter.train.anchors import laid_out, paper_sides, ssd300_sides
from converter.train.nets.layers import IMAGE, PRIOR_LOGIT, Layers, multiple
from converter.train.nets.mobilenet import mobilenet_v2, trained
from edge.decode.ssd import SsdHead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from converter.draft import Draft
    from converter.train.anchors import Sides
    from converter.train.nets.wish import Wish

# Of the extra grids behind the body: channels in between, and at the end. Source: as the shipped
# model has them (`feature_map_layout` of ssdlite_mobilenet_v2 in the detection API).
EXTRAS = ((256, 512), (128, 256), (128, 256), (64, 128))
# An anchor belongs to the coarsest grid whose stride is no more than a third of its side, so that
# the nearest cell's anchor still overlaps half of an object.
STRIDES = (8, 16, 32, 64, 128, 256, 512)
SIDE_STRIDES = 3
BOX = 4
SSD7_CHANNELS = (32, 48, 64, 64, 48, 48, 32)
# Source: Simonyan and Zisserman 2015, configuration D; SSD's own layers behind it: Liu et al. 2016.
VGG = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
SSD300_EXTRAS = ((256, 512, 2, "same"), (128, 256, 2, "same"), (128, 256, 1, "valid"),
                 (128, 256, 1, "valid"))  # fmt: skip


def mobilenet(wish: Wish) -> Draft:
    """Return SSDLite on MobileNetV2, with the grids that the anchors need."""
    weights = trained(wish.backbone) if wish.width == 1 else ()
    net = Layers(wish.size_wh, seed=wish.seed, trained=weights)
    taps = mobilenet_v2(net, IMAGE, width=wish.width)
    sides = by_stride(wish)
    x = taps[32]
    for stride, (inside, out) in zip(STRIDES[3:], EXTRAS, strict=True):
        if not any(wanted >= stride for wanted in sides):
            break
        x = net.conv(x, multiple(inside * wish.width), kernel=1, activation="RELU6")
        x = net.depthwise(x, stride=2)
        x = taps[stride] = net.conv(x, multiple(out * wish.width), kernel=1, activation="RELU6")
    return _headed(net, [(taps[stride], pairs) for stride, pairs in sides.items()], wish)


def by_stride(wish: Wish) -> dict[int, list[tuple[float, float]]]:
    """Return the anchors (height, width; shares of the input) of each grid, by its stride."""
    if wish.anchors_wh is None:
        return dict(zip(STRIDES[1:], paper_sides(len(STRIDES) - 1), strict=True))
    found: dict[int, list[tuple[float, float]]] = {}
    for width, height in wish.anchors_wh:
        side_px = np.sqrt(width * height * wish.size_wh[0] * wish.size_wh[1])
        fitting = [stride for stride in STRIDES if stride * SIDE_STRIDES <= side_px]
        found.setdefault(max(fitting, default=STRIDES[0]), []).append((height, width))
    return dict(sorted(found.items()))


def _headed(
    net: Layers, taps: Sequence[tuple[str, list[tuple[float, float]]]], wish: Wish
) -> Draft:
    """Return the net with a separable head on each grid; every class has a sigmoid of its own."""
    classes = len(wish.labels)
    boxes, scores = [], []
    for x, sides in taps:
        found = net.head(net.depthwise(x, own=True), len(sides) * BOX)
        boxes.append(_rows(net, found, BOX))
        found = net.head(net.depthwise(x, own=True), len(sides) * classes, bias=PRIOR_LOGIT)
        scores.append(_rows(net, found, classes))
    graph = net.graph({"boxes": net.b.concat(boxes, 1), "scores": net.b.concat(scores, 1)})
    grids_hw = [(net.shape(x)[1], net.shape(x)[2]) for x, _ in taps]
    anchors = laid_out(grids_hw, [sides for _, sides in taps])
    return wish.draft(graph, SsdHead(background=False), anchors=anchors)


def ssd7(wish: Wish) -> Draft:
    """Return the small SSD for roads: seven convolutions, the last four with heads.

    Source: the public `ssd_keras` of Pierluigi Ferrari, `keras_ssd7`; its ELU is ReLU here, which
    int8 has at no cost.
    """
    net = Layers(wish.size_wh, seed=wish.seed)
    x, taps = IMAGE, []
    for number, channels in enumerate(SSD7_CHANNELS):
        x = net.pool(x) if number else x
        x = net.conv(x, multiple(channels * wish.width), kernel=3 if number else 5)
        taps.append(x)
    return _plain(net, taps[-4:], wish, paper=paper_sides(4))


def ssd300(wish: Wish) -> Draft:
    """Return SSD on VGG-16: of 300 pixels the paper's own, 8,732 anchors."""
    net = Layers(wish.size_wh, seed=wish.seed)
    x, taps = IMAGE, []
    for number, block in enumerate(VGG):
        for channels in block:
            x = net.conv(x, multiple(channels * wish.width))
        if number == 3:  # noqa: PLR2004 - conv4_3
            taps.append(net.scaled(x))
        x = net.pool(x, kernel=3, stride=1) if number == len(VGG) - 1 else net.pool(x, up=True)
    x = net.conv(x, multiple(1024 * wish.width), dilation=6)
    x = net.conv(x, multiple(1024 * wish.width), kernel=1)
    taps.append(x)
    for inside, out, stride, padding in SSD300_EXTRAS:
        x = net.conv(x, multiple(inside * wish.width), kernel=1)
        x = net.conv(x, multiple(out * wish.width), stride=stride, padding=padding)
        taps.append(x)
    return _plain(net, taps, wish, paper=ssd300_sides())


def _plain(net: Layers, taps: Sequence[str], wish: Wish, *, paper: Sides) -> Draft:
    """Return the net with the paper's heads: 3 x 3, one softmax over background and classes."""
    sides = wish.shared_out(len(taps)) or paper
    columns = len(wish.labels) + 1
    boxes, scores = [], []
    for x, pairs in zip(taps, sides, strict=True):
        boxes.append(_rows(net, net.head(x, len(pairs) * BOX, kernel=3), BOX))
        scores.append(_rows(net, net.head(x, len(pairs) * columns, kernel=3), columns))
    joined = net.b.unary("SOFTMAX", net.b.concat(scores, 1), beta=1.0)
    graph = net.graph({"boxes": net.b.concat(boxes, 1), "scores": joined})
    anchors = laid_out([(net.shape(x)[1], net.shape(x)[2]) for x in taps], sides)
    return wish.draft(graph, SsdHead(activation="none"), anchors=anchors)


def _rows(net: Layers, x: str, columns: int) -> str:
    """Return a head's numbers as (1, anchors, columns)."""
    return net.b.reshape(x, (1, int(np.prod(net.shape(x))) // columns, columns))
