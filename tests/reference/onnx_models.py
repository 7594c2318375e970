"""Small ONNX models with the structure of real exports, and their original values.

Random weights by seed; onnxruntime runs them, and an import is measured beside that.
The tails follow what the exporters of Ultralytics, YOLOv5 and YOLOX write.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SIDE = 64
ANCHORS_PX = {8: ((10.0, 13.0), (16.0, 30.0)), 4: ((30.0, 61.0), (62.0, 45.0))}


class OnnxWriter:
    """Collects nodes; every method returns the name of its (first) output."""

    def __init__(self, *, seed=0):
        self._random = np.random.default_rng(seed)
        self.nodes, self.constants, self.shapes = [], [], {}
        self.channels = {"image": 3}

    def op(self, kind, *inputs, outputs=1, **attrs):
        names = [f"{kind}_{len(self.nodes)}_{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=names[0], **attrs))
        return names[0] if outputs == 1 else names

    def constant(self, value, dtype=np.float32):
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def conv(self, value, inside, outside, *, kernel=1, stride=1, groups=1, pads=None):
        weights = self._random.normal(size=(outside, inside // groups, kernel, kernel))
        weights /= np.sqrt(inside // groups * kernel * kernel)
        bias = self._random.normal(size=outside) * 0.1
        pads = [kernel // 2] * 4 if pads is None else pads
        return self.op(
            "Conv", value, self.constant(weights), self.constant(bias), group=groups,
            kernel_shape=[kernel, kernel], strides=[stride, stride], pads=pads,
        )  # fmt: skip

    def silu(self, value):
        return self.op("Mul", value, self.op("Sigmoid", value))

    def reshape(self, value, shape):
        return self.op("Reshape", value, self.constant(shape, np.int64))

    def normals(self, *shape):
        return self._random.normal(size=shape)

    def model(self, outputs, *, metadata=None, batch=1, dtype=TensorProto.FLOAT, channels=3):
        shape = [batch, channels, SIDE, SIDE]
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(name, dtype, None) for name in outputs],
            self.constants,
        )
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        helper.set_model_props(proto, metadata or {})
        return proto


def run_values(proto, names, image):
    """Return values inside a model for a `(1, 3, H, W)` float32 image, channels last."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    for name in names:
        copy.graph.output.append(helper.make_empty_tensor_value_info(name))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(copy.SerializeToString(), options)
    return [value.transpose(0, 2, 3, 1) for value in session.run(list(names), {"image": image})]


def yolov8(*, classes=3, bins=16):
    """Two grids without anchors, boxes as distributions; a slice by shape, attention, SPPF."""
    net = OnnxWriter()
    stem = net.silu(net.conv("image", 3, 8, kernel=3, stride=2))
    eighth = net.silu(
        net.conv(net.silu(net.conv(stem, 8, 16, kernel=3, stride=2)), 16, 16, kernel=3, stride=2)
    )
    halves = net.op("Split", eighth, net.constant([8, 8], np.int64), outputs=2, axis=1)
    mixed = net.op("Concat", *halves, net.silu(net.conv(halves[1], 8, 8, kernel=3)), axis=1)
    pooled = net.op("MaxPool", mixed, kernel_shape=[5, 5], strides=[1, 1], pads=[2, 2, 2, 2])
    fine = net.silu(net.conv(net.op("Concat", mixed, pooled, axis=1), 48, 16))
    coarse = _chunk(net, net.silu(net.conv(fine, 16, 32, kernel=3, stride=2)))
    coarse = net.op("Add", coarse, _attention(net, coarse, 16, 4 * 4))
    up = net.op(
        "Resize", coarse, "", net.constant([1, 1, 2, 2]), mode="nearest",
        coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip
    fine = net.op("Concat", fine, up, axis=1)
    features = ((fine, 32, 8), (coarse, 16, 4))
    output = net.op("Concat", *distribution_head(net, features, classes, bins), axis=1)
    return net.model([output], metadata=metadata_of(classes))


def rows_of(net, features, count):
    rows = [net.reshape(net.conv(value, channels, count), [1, count, side**2])
            for value, channels, side in features]  # fmt: skip
    return net.op("Concat", *rows, axis=-1)


def distribution_head(net, features, classes, bins):
    boxes, scores = rows_of(net, features, 4 * bins), rows_of(net, features, classes)
    cells = 8 * 8 + 4 * 4
    sides = net.reshape(boxes, [1, 4, bins, cells])
    spread = net.op("Softmax", net.op("Transpose", sides, perm=[0, 2, 1, 3]), axis=1)
    weights = net.constant(np.arange(bins).reshape(1, bins, 1, 1))
    mean = net.op("Conv", spread, weights, kernel_shape=[1, 1], strides=[1, 1])
    found = _boxes_of_distances(net, net.reshape(mean, [1, 4, cells]), (8, 4))
    return found, net.op("Sigmoid", scores)


def metadata_of(classes):
    names = {number: f"thing {number}" for number in range(classes)}
    return {"names": str(names), "stride": "32"}


def yolov5(*, classes=3):
    """Two grids with anchors; grouped and depthwise convolutions, the smaller activations."""
    net = OnnxWriter(seed=1)
    value = net.op(
        "LeakyRelu", net.conv("image", 3, 8, kernel=6, stride=2, pads=[2] * 4), alpha=0.1
    )
    value = net.op("HardSwish", net.conv(value, 8, 8, kernel=3, stride=2, groups=8))
    squeezed = net.op("Relu", net.conv(net.op("GlobalAveragePool", value), 8, 8))
    gate = net.op("HardSigmoid", net.conv(squeezed, 8, 8), alpha=1 / 6, beta=0.5)
    value = net.op("Mul", value, gate)
    value = net.op("Clip", net.conv(value, 8, 16, kernel=3, stride=2, groups=2),
                   net.constant(0.0), net.constant(6.0))  # fmt: skip
    ones = np.ones(16)
    value = net.op(
        "BatchNormalization", value, *map(net.constant, (ones * 1.5, ones * 0.1, ones * 0.2, ones))
    )
    rows = []
    for side, anchors in ANCHORS_PX.items():
        if side != 8:
            value = net.op("MaxPool", value, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
        rows.append(square_decode(net, net.conv(value, 16, 2 * (5 + classes)), anchors, side))
    return net.model([net.op("Concat", *rows, axis=1)], batch="batch")


def yolox(*, classes=1):
    """Two grids without anchors, three branches each; an average pool."""
    net = OnnxWriter(seed=2)
    value = net.silu(net.conv("image", 3, 8, kernel=3, stride=2))
    value = net.op("AveragePool", value, kernel_shape=[2, 2], strides=[2, 2])
    rows = []
    for side in (8, 4):
        value = net.silu(net.conv(value, 8, 8, kernel=3, stride=2))
        scores = net.op("Sigmoid", net.conv(value, 8, classes))
        boxes = net.conv(value, 8, 4)
        objectness = net.op("Sigmoid", net.conv(value, 8, 1))
        joined = net.op("Concat", boxes, objectness, scores, axis=1)
        rows.append(net.reshape(joined, [1, 5 + classes, side**2]))
    output = net.op("Transpose", net.op("Concat", *rows, axis=2), perm=[0, 2, 1])
    return net.model([output])


def unet(*, classes=1, last="Sigmoid", channels=3):
    """Down, up by a transposed and by a linear step, with skips."""
    net = OnnxWriter(seed=3)
    first = net.op("Relu", net.conv("image", channels, 8, kernel=3))
    half = net.op("MaxPool", first, kernel_shape=[2, 2], strides=[2, 2])
    half = net.op("Relu", net.conv(half, 8, 16, kernel=3))
    quarter = net.op("MaxPool", half, kernel_shape=[2, 2], strides=[2, 2])
    up = net.op(
        "ConvTranspose", quarter, net.constant(net.normals(16, 8, 2, 2) / 8),
        net.constant(net.normals(8) * 0.1), kernel_shape=[2, 2], strides=[2, 2],
    )  # fmt: skip
    joined = net.op("Relu", net.conv(net.op("Concat", half, up, axis=1), 24, 8, kernel=3))
    up = net.op(
        "Resize", joined, "", net.constant([1, 1, 2, 2]), mode="linear",
        coordinate_transformation_mode="half_pixel",
    )  # fmt: skip
    value = net.conv(net.op("Concat", first, up, axis=1), 16, classes)
    attrs = {"axis": 1} if last in ("Softmax", "ArgMax") else {}
    dtype = TensorProto.INT64 if last == "ArgMax" else TensorProto.FLOAT
    return net.model([net.op(last, value, **attrs)], dtype=dtype, channels=channels)


def _chunk(net, value):
    """Take the first half of the channels as torch.chunk is exported: by the shape."""
    index = net.constant([1], np.int64)
    count = net.op("Gather", net.op("Shape", value), index, axis=0)
    half = net.op("Div", count, net.constant([2], np.int64))
    return net.op("Slice", value, net.constant([0], np.int64), half, index)


def centres_of(sides):
    """Return all cells' centres `(2, N)`, in cells, and strides `(N,)`."""
    centres = [np.stack(np.meshgrid(np.arange(side), np.arange(side))).reshape(2, -1) + 0.5
               for side in sides]  # fmt: skip
    strides = np.concatenate([np.full(side**2, SIDE / side) for side in sides])
    return np.concatenate(centres, 1), strides


def _boxes_of_distances(net, distances, sides):
    """Write Ultralytics' `dist2bbox`: left, top, right, bottom of each cell as centre and size."""
    centres, strides = centres_of(sides)
    places = net.constant(centres[None])
    parts = net.constant([2, 2], np.int64)
    near, far = net.op("Split", distances, parts, outputs=2, axis=1)
    near, far = net.op("Sub", places, near), net.op("Add", places, far)
    middle = net.op("Div", net.op("Add", near, far), net.constant(2.0))
    boxes = net.op("Concat", middle, net.op("Sub", far, near), axis=1)
    return net.op("Mul", boxes, net.constant(strides[None, None]))


def _attention(net, value, channels, cells):
    parts = net.reshape(net.conv(value, channels, 3 * channels), [1, 2, 3 * channels // 2, cells])
    size = channels // 2
    query, key, content = net.op(
        "Split", parts, net.constant([size] * 3, np.int64), outputs=3, axis=2
    )
    weights = net.op("MatMul", net.op("Transpose", query, perm=[0, 1, 3, 2]), key)
    weights = net.op("Softmax", net.op("Mul", weights, net.constant(size**-0.5)), axis=-1)
    mixed = net.op("MatMul", content, net.op("Transpose", weights, perm=[0, 1, 3, 2]))
    image = net.reshape(mixed, [1, channels, 4, 4])
    return net.op(
        "Add",
        image,
        net.conv(
            net.reshape(content, [1, channels, 4, 4]), channels, channels, kernel=3, groups=channels
        ),
    )


def square_decode(net, value, anchors, side, *, behind=0):
    count = len(anchors)
    cells = net.reshape(value, [1, count, -1, side, side])
    ordered = net.op("Transpose", cells, perm=[0, 1, 3, 4, 2])
    if behind:
        sizes = net.constant([8, behind], np.int64)
        ordered, more = net.op("Split", ordered, sizes, outputs=2, axis=4)
    ordered = net.op("Sigmoid", ordered)
    sizes = net.constant([2, 2, 4], np.int64)
    centers, sides, rest = net.op("Split", ordered, sizes, outputs=3, axis=4)
    columns, rows = np.meshgrid(np.arange(side), np.arange(side))
    corners = np.stack([columns, rows], -1)[None, None].repeat(count, 1) - 0.5
    anchor_grid = np.array(anchors)[None, :, None, None].repeat(side, 2).repeat(side, 3)
    two, stride = net.constant(2.0), net.constant(SIDE / side)
    centers = net.op("Add", net.op("Mul", centers, two), net.constant(corners))
    grown = net.op("Pow", net.op("Mul", sides, two), two)
    sides = net.op("Mul", grown, net.constant(anchor_grid))
    boxes = net.op("Concat", net.op("Mul", centers, stride), sides, rest,
                   *([more] if behind else []), axis=4)  # fmt: skip
    return net.reshape(boxes, [1, count * side**2, -1])
