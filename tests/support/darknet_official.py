"""The layers of official Darknet detectors, without their weights; and how long those files are."""

from __future__ import annotations

CONVOLUTION = "convolutional batch_normalize=1 pad=1 activation=leaky"
POOL = "maxpool size=2 stride=2"
COCO_FILTERS = 3 * (5 + 80)
YOLO = "yolo classes=80 num=6 anchors=10,14,23,27,37,58,81,82,135,169,344,319"


def convolution(filters: int, size: int = 3, stride: int = 1) -> str:
    return f"{CONVOLUTION} filters={filters} size={size} stride={stride}"


def linear(filters: int) -> str:
    return f"convolutional size=1 filters={filters} activation=linear"


def region(classes: int) -> list[str]:
    """Return the head of a v2 network: five anchors."""
    anchors = ",".join("1" * 10)
    head = f"region num=5 classes={classes} softmax=1 anchors={anchors}"
    return [linear(5 * (5 + classes)), head]


def partial(filters: int) -> list[str]:
    """Return a cross-stage partial block of yolov4-tiny."""
    return [
        convolution(filters),
        "route layers=-1 groups=2 group_id=1",
        convolution(filters // 2),
        convolution(filters // 2),
        "route layers=-1,-2",
        convolution(filters, 1),
        "route layers=-6,-1",
        POOL,
    ]


YOLOV4_TINY = [
    *(convolution(32, 3, 2), convolution(64, 3, 2)),
    *(*partial(64), *partial(128), *partial(256)),
    *(convolution(512), convolution(256, 1), convolution(512), linear(COCO_FILTERS)),
    *(f"{YOLO} mask=3,4,5 scale_x_y=1.05", "route layers=-4", convolution(128, 1)),
    *("upsample stride=2", "route layers=-1,23", convolution(256), linear(COCO_FILTERS)),
    f"{YOLO} mask=1,2,3 scale_x_y=1.05",
]
YOLOV2_TINY_STEM = [
    *(convolution(16), POOL, convolution(32), POOL, convolution(64), POOL, convolution(128), POOL),
    *(convolution(256), POOL, convolution(512), "maxpool size=2 stride=1", convolution(1024)),
]
YOLOV2 = [
    *(convolution(32), POOL, convolution(64), POOL),
    *(convolution(128), convolution(64, 1), convolution(128), POOL),
    *(convolution(256), convolution(128, 1), convolution(256), POOL),
    *(convolution(512), convolution(256, 1), convolution(512), convolution(256, 1)),
    *(convolution(512), POOL, convolution(1024), convolution(512, 1), convolution(1024)),
    *(convolution(512, 1), convolution(1024), convolution(1024), convolution(1024)),
    *("route layers=-9", convolution(64, 1), "reorg stride=2", "route layers=-1,-4"),
    *(convolution(1024), *region(80)),
]
# Name to layers and bytes of the published .weights; the header of v2 is of format 0.1, 16 bytes.
OFFICIAL = {
    "yolov4-tiny": (YOLOV4_TINY, 24_251_276),
    "yolov2": (YOLOV2, 203_934_260),
    "yolov2-tiny": ([*YOLOV2_TINY_STEM, convolution(512), *region(80)], 44_948_596),
    "yolov2-tiny-voc": ([*YOLOV2_TINY_STEM, convolution(1024), *region(20)], 63_471_556),
}
