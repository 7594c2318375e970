"""YOLO-tiny in the style of versions 3 and 4: k-means anchors, two grids.

Source: Redmon and Farhadi 2018, "YOLOv3", and its public `yolov3-tiny.cfg`; Wang et al. 2021,
"Scaled-YOLOv4", section 3.3 (tiny: CSPOSANet), and the public `yolov4-tiny.cfg`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from converter.train.nets.layers import IMAGE, PRIOR_LOGIT, Layers, multiple
from edge.decode.yolo import YoloGrid, YoloHead

if TYPE_CHECKING:
    from converter.draft import Draft
    from converter.train.nets.wish import Wish

BOX, OBJECTNESS = 4, 1
# Width and height, shares of the input: of COCO at 416, where no labelled set says better.
# Source: `yolov3-tiny.cfg`.
COCO_WH = ((10, 14), (23, 27), (37, 58), (81, 82), (135, 169), (344, 319))
COCO_SIDE = 416
# Of the centre in its cell. Source: `yolov4-tiny.cfg`, `scale_x_y`.
V4_SCALE_XY = 1.05


def tiny_v3(wish: Wish) -> Draft:
    """Return YOLOv3-tiny."""
    net = Layers(wish.size_wh, seed=wish.seed)
    x = IMAGE
    for channels in (16, 32, 64, 128):
        x = net.pool(_conv(net, x, channels, wish), up=True)
    fine = x = _conv(net, x, 256, wish)
    x = net.pool(_conv(net, net.pool(x, up=True), 512, wish), stride=1)
    x = _conv(net, _conv(net, x, 1024, wish), 256, wish, kernel=1)
    coarse = _conv(net, x, 512, wish)
    return _ends(net, wish, coarse, _finer(net, wish, x, fine), scale_xy=1.0)


def tiny_v4(wish: Wish) -> Draft:
    """Return YOLOv4-tiny: the same two grids on a body of partial stages."""
    net = Layers(wish.size_wh, seed=wish.seed)
    x = _conv(net, _conv(net, IMAGE, 32, wish, stride=2), 64, wish, stride=2)
    fine = x
    for channels in (64, 128, 256):
        x, fine = _stage(net, x, channels, wish)
    x = _conv(net, _conv(net, x, 512, wish), 256, wish, kernel=1)
    coarse = _conv(net, x, 512, wish)
    return _ends(net, wish, coarse, _finer(net, wish, x, fine), scale_xy=V4_SCALE_XY)


# A stage's own, in the order of the wish.
def _conv(  # noqa: PLR0913
    net: Layers, x: str, channels: int, wish: Wish, *, kernel: int = 3, stride: int = 1
) -> str:
    out = multiple(channels * wish.width)
    return net.conv(x, out, kernel=kernel, stride=stride, activation="LEAKY")


def _stage(net: Layers, x: str, channels: int, wish: Wish) -> tuple[str, str]:
    """Return a stage of half the rows, and what of it the finer grid reads."""
    whole = _conv(net, x, channels, wish)
    depth = net.shape(whole)[3]
    half = net.b.part(whole, 3, start=depth // 2, stop=depth)
    first = _conv(net, half, channels // 2, wish)
    second = _conv(net, first, channels // 2, wish)
    joined = _conv(net, net.b.concat([second, first], 3), channels, wish, kernel=1)
    return net.pool(net.b.concat([whole, joined], 3), up=True), joined


def _finer(net: Layers, wish: Wish, x: str, fine: str) -> str:
    up = net.resized(_conv(net, x, 128, wish, kernel=1), fine, kind="RESIZE_NEAREST_NEIGHBOR")
    return _conv(net, net.b.concat([up, fine], 3), 256, wish)


def _ends(net: Layers, wish: Wish, coarse: str, fine: str, *, scale_xy: float) -> Draft:
    """Return the net with three outputs a grid, each with a scale of its own in int8."""
    width, height = wish.size_wh
    shares = wish.anchors_wh or [(w / COCO_SIDE, h / COCO_SIDE) for w, h in COCO_WH]
    anchors = [(w * width, h * height) for w, h in shares]
    each = len(anchors) // 2
    grids, outputs = [], {}
    for x, own in ((coarse, anchors[each:]), (fine, anchors[:each])):
        number, classes = len(grids), len(wish.labels)
        roles = {kind: f"{kind}_{number}" for kind in ("boxes", "objectness", "scores")}
        outputs[roles["boxes"]] = net.head(x, len(own) * BOX)
        outputs[roles["objectness"]] = net.head(x, len(own) * OBJECTNESS, bias=PRIOR_LOGIT)
        outputs[roles["scores"]] = net.head(x, len(own) * classes)
        grids.append(YoloGrid(**roles, anchors_px=tuple(own), scale_xy=scale_xy))
    return wish.draft(net.graph(outputs), YoloHead(grids=tuple(grids)))
