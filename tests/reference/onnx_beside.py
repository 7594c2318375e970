"""Small ONNX models of YOLO-seg and YOLO-pose, as their exporters write them."""

from __future__ import annotations

import numpy as np
from reference.onnx_models import (
    ANCHORS_PX,
    OnnxWriter,
    centres_of,
    distribution_head,
    metadata_of,
    rows_of,
    square_decode,
)


def yolov8_seg(*, classes=3, prototypes=8):
    """Ultralytics' `Segment`: a third convolution a grid, and prototypes beside the rows."""
    net = OnnxWriter(seed=4)
    quarter, features = _features(net)
    boxes = distribution_head(net, features, classes, 16)
    coefficients = rows_of(net, features, prototypes)
    up = net.silu(net.conv(quarter, 8, 8, kernel=3))
    made = net.silu(net.conv(up, 8, prototypes))
    output = net.op("Concat", *boxes, coefficients, axis=1)
    return net.model([output, made], metadata=metadata_of(classes))


def yolov8_pose(*, points=17, numbers=3, classes=1):
    """Ultralytics' `Pose`: `kpts_decode` as it is exported, (raw * 2 + column) * stride."""
    net = OnnxWriter(seed=5)
    _, features = _features(net)
    boxes = distribution_head(net, features, classes, 16)
    raw = net.reshape(rows_of(net, features, points * numbers), [1, points, numbers, 80])
    centres, strides = centres_of((8, 4))
    parts = net.constant([2, 1][: numbers - 1], np.int64)
    places = net.op("Split", raw, parts, outputs=2, axis=2) if numbers == 3 else [raw]
    corners = net.constant(centres[None] - 0.5)
    moved = net.op("Add", net.op("Mul", places[0], net.constant(2.0)), corners)
    found = [net.op("Mul", moved, net.constant(strides[None, None]))]
    found += [net.op("Sigmoid", score) for score in places[1:]]
    joined = net.op("Concat", *found, axis=2) if numbers == 3 else found[0]
    rows = net.reshape(joined, [1, points * numbers, 80])
    output = net.op("Concat", *boxes, rows, axis=1)
    return net.model([output], metadata=metadata_of(classes))


def yolov5_seg(*, classes=3, prototypes=8):
    """The YOLOv5 repository's `Segment`: coefficients behind the classes of each anchor."""
    net = OnnxWriter(seed=6)
    quarter, features = _features(net)
    rows = []
    for value, channels, side in features:
        raw = net.conv(value, channels, 2 * (5 + classes + prototypes))
        rows.append(square_decode(net, raw, ANCHORS_PX[side], side, behind=prototypes))
    made = net.silu(net.conv(quarter, 8, prototypes))
    return net.model([net.op("Concat", *rows, axis=1), made], metadata=metadata_of(classes))


def _features(net):
    """Return what lies before the grids, of a quarter of the image, and of both grids."""
    quarter = net.silu(net.conv(net.silu(net.conv("image", 3, 8, kernel=3, stride=2)), 8, 8,
                                kernel=3, stride=2))  # fmt: skip
    fine = net.silu(net.conv(quarter, 8, 16, kernel=3, stride=2))
    coarse = net.silu(net.conv(fine, 16, 16, kernel=3, stride=2))
    return quarter, ((fine, 16, 8), (coarse, 16, 4))
