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
    net, x = _Yolo(wish), IMAGE
    for channels in (16, 32, 64, 128):
        x = net.pool(net.leaky(x, channels), up=True)
    fine = net.leaky(x, 256)
    x = net.pool(net.leaky(net.pool(fine, up=True), 512), stride=1)
    return _ends(net, net.leaky(net.leaky(x, 1024), 256, kernel=1), fine, scale_xy=1.0)


def tiny_v4(wish: Wish) -> Draft:
    """Return YOLOv4-tiny: the same two grids on a body of partial stages."""
    net = _Yolo(wish)
    fine = x = net.leaky(net.leaky(IMAGE, 32, stride=2), 64, stride=2)
    for channels in (64, 128, 256):
        x, fine = net.stage(x, channels)
    return _ends(net, net.leaky(net.leaky(x, 512), 256, kernel=1), fine, scale_xy=V4_SCALE_XY)


class _Yolo(Layers):
    """Layers of a width, each with a leaky activation."""

    def __init__(self, wish: Wish) -> None:
        super().__init__(wish.size_wh, seed=wish.seed)
        self.wish = wish

    def leaky(self, x: str, channels: int, *, kernel: int = 3, stride: int = 1) -> str:
        """Add a convolution."""
        out = multiple(channels * self.wish.width)
        return self.conv(x, out, kernel=kernel, stride=stride, activation="LEAKY")

    def stage(self, x: str, channels: int) -> tuple[str, str]:
        """Return a stage of half the rows, and what of it the finer grid reads."""
        whole = self.leaky(x, channels)
        depth = self.shape(whole)[3]
        half = self.b.part(whole, 3, start=depth // 2, stop=depth)
        first = self.leaky(half, channels // 2)
        second = self.leaky(first, channels // 2)
        joined = self.leaky(self.b.concat([second, first], 3), channels, kernel=1)
        return self.pool(self.b.concat([whole, joined], 3), up=True), joined


def _ends(net: _Yolo, x: str, fine: str, *, scale_xy: float) -> Draft:
    """Return the net with two grids, of three outputs each with a scale of its own in int8."""
    wish = net.wish
    coarse = net.leaky(x, 512)
    up = net.resized(net.leaky(x, 128, kernel=1), fine, kind="RESIZE_NEAREST_NEIGHBOR")
    finer = net.leaky(net.b.concat([up, fine], 3), 256)
    width, height = wish.size_wh
    shares = wish.anchors_wh or [(w / COCO_SIDE, h / COCO_SIDE) for w, h in COCO_WH]
    anchors = [(w * width, h * height) for w, h in shares]
    each = len(anchors) // 2
    grids: list[YoloGrid] = []
    outputs: dict[str, str] = {}
    for end, own in ((coarse, anchors[each:]), (finer, anchors[:each])):
        number, classes = len(grids), len(wish.labels)
        roles = {kind: f"{kind}_{number}" for kind in ("boxes", "objectness", "scores")}
        outputs[roles["boxes"]] = net.head(end, len(own) * BOX)
        outputs[roles["objectness"]] = net.head(end, len(own) * OBJECTNESS, bias=PRIOR_LOGIT)
        outputs[roles["scores"]] = net.head(end, len(own) * classes)
        grids.append(YoloGrid(**roles, anchors_px=tuple(own), scale_xy=scale_xy))
    return wish.draft(net.graph(outputs), YoloHead(grids=tuple(grids)))
