"""Graphs drawn at random: ops one behind another on small images, constants of every type."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from converter.graph.values import Graph, Op, Quantisation, Tensor

SHAPE = (1, 2, 3, 4)
UNARY, BINARY = ("ABS", "NEG", "TANH", "LOGISTIC", "RELU"), ("ADD", "SUB", "MUL", "MAXIMUM")
DTYPES = ("float32", "float16", "int8", "uint8", "int16", "int32", "int64", "bool")


@st.composite
def graphs(draw):
    """Return a graph that LiteRT runs; its outputs are some of what it computes, in any order."""
    tensors = {"image": Tensor("image", SHAPE)}
    ops, names = [], ["image"]
    for number in range(draw(st.integers(1, 8))):
        made = f"t{number}"
        sources = [draw(st.sampled_from(names))]
        kind = draw(st.sampled_from(UNARY + BINARY))
        if kind in BINARY and draw(st.booleans()):
            stored = draw(st.lists(st.floats(-4, 4, width=32), min_size=4, max_size=4))
            tensors[f"{made}/stored"] = Tensor(f"{made}/stored", (4,), value=np.float32(stored))
            sources.append(f"{made}/stored")
        elif kind in BINARY:
            sources.append(draw(st.sampled_from(names)))
        tensors[made] = Tensor(made, SHAPE)
        ops.append(Op(kind, tuple(sources), (made,)))
        names.append(made)
    outputs = draw(st.lists(st.sampled_from(names[1:]), min_size=1, unique=True))
    return Graph(tensors, tuple(ops), ("image",), tuple(outputs))


@st.composite
def constants(draw):
    """Return a constant of any type, shape and quantisation."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = tuple(draw(st.lists(st.integers(1, 4), max_size=4)))
    size = int(np.prod(shape))
    numbers = draw(st.lists(st.integers(0, 127), min_size=size, max_size=size))
    levels = None
    if dtype in ("int8", "uint8", "int16") and shape:
        axis = draw(st.integers(0, len(shape) - 1))
        count = draw(st.sampled_from([1, shape[axis]]))
        scales = np.linspace(0.5, 2, count).astype(np.float32)
        levels = Quantisation(scales, np.zeros(count, np.int64), axis)
    return Tensor("stored", shape, dtype, np.array(numbers, dtype).reshape(shape), levels)
