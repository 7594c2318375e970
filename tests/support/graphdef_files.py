"""Frozen TensorFlow graphs written by hand, for tests of the importers."""

from __future__ import annotations

import numpy as np

from converter.importers.tensorflow.graphdef_schema import message_class

FLOAT, INT32 = 1, 3


def graph_message(rows, constants):
    """Return a GraphDef: rows are (name, op, *inputs), constants map names to arrays."""
    graph = message_class("Graph")()
    for name, value in constants.items():
        node = graph.node.add(name=name, op="Const")
        tensor = node.attr["value"].tensor
        array = np.asarray(value)
        tensor.dtype = {"f": FLOAT, "i": INT32}[array.dtype.kind]
        for side in array.shape:
            tensor.tensor_shape.dim.add(size=side)
        tensor.tensor_content = array.astype({FLOAT: "<f4", INT32: "<i4"}[tensor.dtype]).tobytes()
    for name, op, *inputs in rows:
        node = graph.node.add(name=name, op=op, input=inputs)
        if op == "Placeholder":
            for side in (1, 32, 48, 3):
                node.attr["shape"].shape.dim.add(size=side)
    return graph


def segmenter(*tail, head=("raw", "BiasAdd", "conv", "bias"), entry=()):
    """Return the rows of a segmenter: an image, `entry`, a convolution, `head` and `tail`."""
    first = entry[-1][0] if entry else "image"
    return [
        ("image", "Placeholder"),
        *entry,
        ("conv", "Conv2D", first, "kernel"),
        head,
        *tail,
    ]


CONSTANTS = {
    "kernel": np.ones((1, 1, 3, 2), np.float32),
    "bias": np.zeros(2, np.float32),
    "size": np.array([8, 12], np.int32),
    "axis": np.int32(3),
    "factor": np.float32(2 / 255),
    "one": np.float32(1),
    "means": np.array([123.0, 117.0, 104.0], np.float32),
}
