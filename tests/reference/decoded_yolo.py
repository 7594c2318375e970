"""A YOLO whose graph decodes its boxes itself, made of one that is cut at its raw heads.

The three convolutions of each grid become the one that they were split of, and behind it stands
what a Keras port writes: (1, N, 5 + C), centre and sides in shares of the input, sigmoids.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from converter.graph.edits import tidied
from converter.graph.values import Graph, Op, Tensor


def decoded(graph, head, *, input_wh):
    """Return the graph with its decode; `head` is a `YoloHead` with sides `exp`."""
    net = _Net(graph)
    ends = [
        net.grid(grid, np.float32(input_wh), name=f"grid{number}")
        for number, grid in enumerate(head.grids)
    ]
    rows = sum(net.tensors[end].shape[1] for end in ends)
    shape = (1, rows, net.tensors[ends[0]].shape[2])
    net.op("CONCATENATION", ends, "decoded", shape, axis=1)
    return tidied(Graph(net.tensors, tuple(net.ops), graph.inputs, ("decoded",)))


class _Net:
    def __init__(self, graph):
        self.graph, self.tensors, self.ops = graph, dict(graph.tensors), list(graph.ops)

    def constant(self, value):
        value = np.asarray(value)
        name = f"constant{len(self.tensors)}"
        self.tensors[name] = Tensor(name, value.shape, value.dtype.name, value)
        return name

    def op(self, kind, inputs, name, shape, **options):
        self.tensors[name] = Tensor(name, shape)
        self.ops.append(Op(kind, tuple(inputs), (name,), options))
        return name

    def joined(self, grid, name):
        """Write the convolution that gives boxes, objectness and scores, anchor by anchor."""
        parts = [self.graph.producers[role] for role in (grid.boxes, grid.objectness, grid.scores)]
        count = len(grid.anchors_px)

        def interleaved(place):
            values = [self.graph.value(op.inputs[place]) for op in parts]
            apart = [value.reshape(count, -1, *value.shape[1:]) for value in values]
            return self.constant(np.concatenate(apart, axis=1).reshape(-1, *values[0].shape[1:]))

        inputs = (parts[0].inputs[0], interleaved(1), interleaved(2))
        height, width = self.graph.shape(grid.boxes)[1:3]
        shape = (1, height, width, self.tensors[inputs[2]].shape[0])
        self.tensors[name] = Tensor(name, shape)
        self.ops.append(replace(parts[0], inputs=inputs, outputs=(name,)))
        return shape

    def grid(self, grid, input_wh, *, name):
        _, height, width, channels = self.joined(grid, name)
        cells, count = height * width, len(grid.anchors_px)
        each = channels // count
        raw = self.op(
            "RESHAPE", (name, self.constant(np.int32([1, cells, count, each]))), f"{name}/cells",
            (1, cells, count, each),
        )  # fmt: skip

        def part(start, stop, kind):
            shape = (1, cells, count, stop - start)
            places = self.constant(np.int32([0, 0, 0, start])), self.constant(np.int32(shape))
            source = self.op("SLICE", (raw, *places), f"{name}/{start}", shape)
            return self.op(kind, (source,), f"{name}/{kind}{start}", shape), shape

        rows, columns = np.mgrid[:height, :width].reshape(2, cells)
        corners = self.constant(np.float32(np.stack([columns, rows], -1))[None, :, None])
        shares = self.constant(1 / np.float32([width, height]))
        anchors = self.constant(np.float32(grid.anchors_px)[None, None] / input_wh)
        center, shape = part(0, 2, "LOGISTIC")
        center = self.op("ADD", (center, corners), f"{name}/places", shape)
        center = self.op("MUL", (center, shares), f"{name}/center", shape)
        sides, _ = part(2, 4, "EXP")
        sides = self.op("MUL", (sides, anchors), f"{name}/sides", shape)
        scores, _ = part(4, each, "LOGISTIC")
        whole = self.op(
            "CONCATENATION", (center, sides, scores), f"{name}/whole", (1, cells, count, each),
            axis=3,
        )  # fmt: skip
        wanted = (1, cells * count, each)
        return self.op("RESHAPE", (whole, self.constant(np.int32(wanted))), f"{name}/rows", wanted)
