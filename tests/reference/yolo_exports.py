"""Small float `.tflite` detectors with the decode tails that real exporters write.

Run as ``python yolo_exports.py FOLDER``, in a child process, as tests load no TensorFlow. Each
function says whose tail it follows; weights are random by seed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

SIDE, CLASSES = 64, 3
SIDES = (8, 4)
ANCHORS = np.float32([[[10, 13], [16, 30]], [[30, 61], [62, 45]]])


class Net:
    """A backbone of two grids; every call makes a convolution of random weights."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.made = {}

    def conv(self, x, filters, *, kernel=1, stride=1, key):
        if key not in self.made:
            shape = (kernel, kernel, x.shape[-1], filters)
            weights = self.random.normal(size=shape) * 1.4 / np.sqrt(np.prod(shape[:3]))
            self.made[key] = tf.constant(weights.astype(np.float32))
            self.made[key, "b"] = tf.constant(
                (self.random.normal(size=filters) * 0.3).astype(np.float32)
            )
        return tf.nn.conv2d(x, self.made[key], stride, "SAME") + self.made[key, "b"]

    def features(self, image):
        x = tf.nn.relu(self.conv(image, 16, kernel=3, stride=4, key="a"))
        fine = tf.nn.relu(self.conv(x, 24, kernel=3, stride=2, key="b"))
        return fine, tf.nn.relu(self.conv(fine, 32, kernel=3, stride=2, key="c"))


def corners(side):
    x, y = np.meshgrid(np.arange(side), np.arange(side))
    return np.stack([x, y], -1).astype(np.float32)  # (H, W, 2)


def rows(image):
    """Return all cells' corners and strides, `(1, N, 2)` and `(1, N, 1)`."""
    del image
    places = np.concatenate([corners(side).reshape(-1, 2) for side in SIDES])[None]
    strides = np.concatenate([np.full((side * side, 1), SIDE / side) for side in SIDES])[None]
    return places, strides.astype(np.float32)


def yolov5(net, image):
    """Ultralytics' yolov5 `models/tf.py`, TFDetect: normalised xywh, (1, N, 5 + C)."""
    found = []
    for number, (x, side) in enumerate(zip(net.features(image), SIDES, strict=True)):
        raw = net.conv(x, 2 * (5 + CLASSES), key=("head", number))
        y = tf.sigmoid(
            tf.transpose(tf.reshape(raw, [-1, side * side, 2, 5 + CLASSES]), [0, 2, 1, 3])
        )
        grid = corners(side).reshape(1, 1, -1, 2)
        stride = SIDE / side
        xy = (y[..., 0:2] * 2 - 0.5 + grid) * stride / SIDE
        wh = (y[..., 2:4] * 2) ** 2 * ANCHORS[number].reshape(1, 2, 1, 2) / SIDE
        y = tf.concat([xy, wh, y[..., 4:]], -1)
        found.append(tf.reshape(y, [-1, 2 * side * side, 5 + CLASSES]))
    return tf.concat(found, 1)


def yolov3(net, image):
    """The Keras port of qqwweee, `yolo_head`: boxes (y, x, y, x) and scores, grid by grid."""
    boxes, scores = [], []
    for number, (x, side) in enumerate(zip(net.features(image), SIDES, strict=True)):
        raw = net.conv(x, 2 * (5 + CLASSES), key=("head", number))
        raw = tf.reshape(raw, [-1, side, side, 2, 5 + CLASSES])
        xy = (tf.sigmoid(raw[..., :2]) + corners(side)[:, :, None]) / side
        wh = tf.exp(raw[..., 2:4]) * ANCHORS[number] / SIDE
        yx, hw = xy[..., ::-1], wh[..., ::-1]
        boxes.append(tf.reshape(tf.concat([yx - hw / 2, yx + hw / 2], -1) * SIDE, [1, -1, 4]))
        score = tf.sigmoid(raw[..., 4:5]) * tf.sigmoid(raw[..., 5:])
        scores.append(tf.reshape(score, [1, -1, CLASSES]))
    return {"boxes": tf.concat(boxes, 1), "scores": tf.concat(scores, 1)}


def yolov4(net, image):
    """hunglc007's tensorflow-yolov4 `decode_tflite`: grid sensitivity 1.2 and 1.05, each grid."""
    found = []
    for number, (x, side) in enumerate(zip(net.features(image), SIDES, strict=True)):
        raw = net.conv(x, 2 * (5 + CLASSES), key=("head", number))
        raw = tf.reshape(raw, (1, side, side, 2, 5 + CLASSES))
        xy, wh, conf, prob = tf.split(raw, (2, 2, 1, CLASSES), axis=-1)
        grid = np.tile(corners(side)[None, :, :, None], [1, 1, 1, 2, 1])
        factor = (1.2, 1.05)[number]
        xy = ((tf.sigmoid(xy) * factor) - 0.5 * (factor - 1) + grid) * SIDE / side
        wh = tf.exp(wh) * ANCHORS[number]
        found.append(tf.concat([xy, wh, tf.sigmoid(conf), tf.sigmoid(prob)], -1))
    return {str(number): each for number, each in enumerate(found)}


def yolov2(net, image):
    """Darkflow's region layer: one grid, anchors in cells, softmax over the classes."""
    _, x = net.features(image)
    raw = tf.reshape(net.conv(x, 2 * (5 + CLASSES), key="head"), [1, 4, 4, 2, 5 + CLASSES])
    xy = (tf.sigmoid(raw[..., :2]) + corners(4)[:, :, None]) / 4
    wh = tf.exp(raw[..., 2:4]) * (ANCHORS[1] / 16) / 4
    scores = tf.sigmoid(raw[..., 4:5]) * tf.nn.softmax(raw[..., 5:])
    return tf.reshape(tf.concat([xy, wh, scores], -1), [1, 32, 4 + CLASSES])


def implicit(net, image):
    """YOLOv7's IDetect: a product with a number a channel behind the convolution."""
    inner = net.conv

    def scaled(x, filters, **options):
        made = inner(x, filters, **options)
        if options["key"][0] == "head":
            made *= np.linspace(0.5, 1.5, filters, dtype=np.float32)
        return made

    net.conv = scaled
    return yolov5(net, image)


def _split(net, image, box_channels):
    boxes, scores = [], []
    for number, (x, side) in enumerate(zip(net.features(image), SIDES, strict=True)):
        b, s = (
            net.conv(x, channels, key=(kind, number))
            for kind, channels in (("box", box_channels), ("cls", CLASSES))
        )
        boxes.append(tf.reshape(b, [1, side * side, box_channels]))
        scores.append(tf.reshape(s, [1, side * side, CLASSES]))
    return tf.concat(boxes, 1), tf.sigmoid(tf.concat(scores, 1))


def yolov8(net, image, *, normalised=True):
    """Ultralytics' export to TFLite: DFL as a convolution with 0 to 15, (1, 4 + C, N)."""
    boxes, scores = _split(net, image, 64)
    spread = tf.nn.softmax(tf.reshape(boxes, [1, -1, 4, 16]))
    bins = np.arange(16, dtype=np.float32).reshape(1, 1, 16, 1)
    sides = tf.reshape(tf.nn.conv2d(spread, bins, 1, "VALID"), [1, -1, 4])
    places, strides = rows(image)
    low, high = places + 0.5 - sides[..., :2], places + 0.5 + sides[..., 2:]
    found = tf.concat([(low + high) / 2, high - low], -1) * strides
    if normalised:
        found /= SIDE
    return tf.transpose(tf.concat([found, scores], -1), [0, 2, 1])


def yolov8_xyxy(net, image):
    """The same in pixels, as a sum over bins, its two outputs apart and as corners."""
    boxes, scores = _split(net, image, 64)
    spread = tf.nn.softmax(tf.reshape(boxes, [1, -1, 4, 16]))
    sides = tf.reduce_sum(spread * np.arange(16, dtype=np.float32), -1)
    places, strides = rows(image)
    low, high = places + 0.5 - sides[..., :2], places + 0.5 + sides[..., 2:]
    return {"boxes": tf.concat([low, high], -1) * strides, "scores": scores}


def yolov10(net, image):
    """Ultralytics' v10Detect: the best rows are chosen in the graph, (1, 10, 6)."""
    both = yolov8_xyxy(net, image)
    best = tf.reduce_max(both["scores"], -1)
    scores, order = tf.math.top_k(best, 10)
    boxes = tf.gather(both["boxes"], order[0], axis=1)
    classes = tf.cast(tf.argmax(tf.gather(both["scores"], order[0], axis=1), -1), tf.float32)
    return tf.concat([boxes, scores[..., None], classes[..., None]], -1)


def yolov6(net, image):
    """Meituan's YOLOv6: distances, (1, N, 5 + C) with an objectness of ones."""
    sides, scores = _split(net, image, 4)
    places, strides = rows(image)
    low, high = places + 0.5 - sides[..., :2], places + 0.5 + sides[..., 2:]
    found = tf.concat([(low + high) / 2, high - low], -1) * strides
    return tf.concat([found, tf.ones_like(scores[..., :1]), scores], -1)


def yolox(net, image, *, decoded=True):
    """Megvii's YOLOX, with `decode_in_inference` or, as its demos export it, without."""
    found = []
    for number, (x, side) in enumerate(zip(net.features(image), SIDES, strict=True)):
        box, objectness, scores = (
            net.conv(x, channels, key=(kind, number))
            for kind, channels in (("box", 4), ("obj", 1), ("cls", CLASSES))
        )
        joined = tf.concat([box, tf.sigmoid(objectness), tf.sigmoid(scores)], -1)
        found.append(tf.reshape(joined, [1, side * side, 5 + CLASSES]))
    joined = tf.concat(found, 1)
    if not decoded:
        return joined
    places, strides = rows(image)
    xy, wh = (joined[..., :2] + places) * strides, tf.exp(joined[..., 2:4]) * strides
    return tf.concat([xy, wh, joined[..., 4:]], -1)


def raw_grids(net, image):
    """Raw grids with their anchors as an axis: (1, H, W, B, 5 + C), and flattened."""
    found = {}
    for number, (x, side) in enumerate(zip(net.features(image), SIDES, strict=True)):
        raw = net.conv(x, 2 * (5 + CLASSES), key=("head", number))
        shape = [1, side, side, 2, 5 + CLASSES] if number else [1, -1, 5 + CLASSES]
        found[str(number)] = tf.reshape(raw, shape)
    return found


def odd(net, image):
    """A decode that nobody knows: centres squared."""
    found = yolov5(net, image)
    return tf.concat([found[..., :2] ** 2, found[..., 2:]], -1)


def suppressed(net, image):
    """An export with its suppression inside, as Ultralytics' `nms=True`: rows without a batch."""
    both = yolov8_xyxy(net, image)
    boxes, scores = both["boxes"][0], both["scores"][0]
    kept = tf.image.non_max_suppression(boxes, tf.reduce_max(scores, -1), 10, 0.5, 0.3)
    return {"boxes": tf.gather(boxes, kept), "scores": tf.gather(scores, kept)}


def with_raw_grids(net, image):
    """Ultralytics' yolov5 outside of its export mode: the raw grids stand beside the decoded."""
    found = {"decoded": yolov5(net, image)}
    for number, x in enumerate(net.features(image)):
        found[f"raw{number}"] = net.conv(x, 2 * (5 + CLASSES), key=("head", number))
    return found


def open_batch(net, image):
    """A Keras port whose reshapes and grids are computed from the shape of a batch of any size."""
    found = []
    for number, feature in enumerate(net.features(image)):
        raw = net.conv(feature, 2 * (5 + CLASSES), key=("head", number))
        batch, height, width = (tf.shape(raw)[axis] for axis in range(3))
        raw = tf.reshape(raw, [batch, height, width, 2, 5 + CLASSES])
        y = tf.tile(tf.range(height)[:, None], [1, width])
        x = tf.tile(tf.range(width)[None], [height, 1])
        grid = tf.cast(tf.stack([x, y], -1)[None, :, :, None], tf.float32)
        grid = tf.tile(grid, [batch, 1, 1, 2, 1])
        xy = (tf.sigmoid(raw[..., :2]) + grid) / tf.cast(width, tf.float32)
        wh = tf.exp(raw[..., 2:4]) * ANCHORS[number] / SIDE
        each = tf.concat([xy, wh, tf.sigmoid(raw[..., 4:])], -1)
        found.append(tf.reshape(each, [batch, -1, 5 + CLASSES]))
    return tf.concat(found, 1)


MAKERS = {
    "yolov2": yolov2, "yolov3": yolov3, "yolov4": yolov4, "yolov5": yolov5, "yolov6": yolov6,
    "yolov7": implicit, "yolov8": yolov8, "yolov8_xyxy": yolov8_xyxy, "yolov10": yolov10,
    "yolox": yolox, "raw_grids": raw_grids, "odd": odd,
    "with_raw_grids": with_raw_grids, "open_batch": open_batch,
    "suppressed": suppressed,
    "yolov8_pixels": lambda net, image: yolov8(net, image, normalised=False),
    "yolox_raw": lambda net, image: yolox(net, image, decoded=False),
}  # fmt: skip


def main() -> None:
    folder = Path(sys.argv[1])
    for number, (name, make) in enumerate(MAKERS.items()):
        net = Net(number)
        shape = tf.TensorSpec((None if make is open_batch else 1, SIDE, SIDE, 3), tf.float32)
        function = tf.function(lambda image, make=make, net=net: make(net, image))
        concrete = function.get_concrete_function(shape)
        lowering = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
        (folder / f"{name}.tflite").write_bytes(lowering.convert())


if __name__ == "__main__":
    main()
