"""Ops on constants are computed as LiteRT computes them, and no further than is cheap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from converter.graph.folding import MAX_ELEMENTS, folded
from converter.graph.values import Graph, Op, Tensor
from converter.graph.writing import write
from edge.model.backends.litert import open_interpreter

IMAGE = (1, 6, 4, 3)


def constant(name, value):
    value = np.asarray(value)
    return Tensor(name, value.shape, value.dtype.name, value)


def ints(*numbers):
    return np.array(numbers, np.int32)


# Kind, options, what it reads, and the shape of each that it makes.
OPS = [
    ("STRIDED_SLICE", {"beginMask": 1, "endMask": 2, "shrinkAxisMask": 0},
     [ints(*range(24)).reshape(6, 4), ints(9, 1), ints(5, 0), ints(2, 1)], [(3, 3)]),
    ("STRIDED_SLICE", {"shrinkAxisMask": 1}, [ints(1, 6, 4, 3), ints(1), ints(2), ints(1)], [()]),
    ("STRIDED_SLICE", {"ellipsisMask": 1, "newAxisMask": 2},
     [ints(*range(6)).reshape(2, 3), ints(0, 0), ints(0, 0), ints(1, 1)], [(2, 3, 1)]),
    ("PACK", {"axis": 0, "valuesCount": 2}, [ints(3), ints(5)], [(2, 1)]),
    ("PACK", {"axis": 1, "valuesCount": 2}, [ints(3, 4), ints(5, 6)], [(2, 2)]),
    ("UNPACK", {"axis": 1, "num": 2}, [ints(1, 2, 3, 4).reshape(2, 2)], [(2,), (2,)]),
    ("CONCATENATION", {"axis": 0}, [ints(1), ints(2, 3)], [(3,)]),
    ("TILE", {}, [ints(1, 2).reshape(1, 2), ints(3, 2)], [(3, 4)]),
    ("RESHAPE", {}, [ints(1, 2, 3, 4), ints(2, -1)], [(2, 2)]),
    ("CAST", {"inDataType": 2, "outDataType": 0}, [ints(1, 2)], [(2,)]),
    ("GATHER", {"axis": 1}, [ints(*range(6)).reshape(2, 3), ints(2, 0)], [(2, 2)]),
    ("EXPAND_DIMS", {}, [ints(1, 2), ints(-1)], [(2, 1)]),
    ("SQUEEZE", {"squeezeDims": (1,)}, [ints(1, 2).reshape(2, 1)], [(2,)]),
    ("TRANSPOSE", {}, [ints(*range(6)).reshape(2, 3), ints(1, 0)], [(3, 2)]),
    ("SLICE", {}, [ints(*range(6)).reshape(2, 3), ints(0, 1), ints(-1, 2)], [(2, 2)]),
    ("FILL", {}, [ints(2, 3), np.float32(7)], [(2, 3)]),
    ("RANGE", {}, [np.int32(2), np.int32(11), np.int32(3)], [(3,)]),
    ("BROADCAST_TO", {}, [ints(1, 2), ints(3, 2)], [(3, 2)]),
    ("ADD", {}, [ints(1, 2), ints(3)], [(2,)]),
    ("SUB", {}, [ints(1, 2), ints(3)], [(2,)]),
    ("MUL", {}, [ints(4, -2), ints(3)], [(2,)]),
    ("DIV", {}, [ints(-7, 7), ints(2)], [(2,)]),
    ("FLOOR_DIV", {}, [ints(-7, 7), ints(2, 2)], [(2,)]),
    ("FLOOR_MOD", {}, [ints(-7, 7), ints(4, 4)], [(2,)]),
    ("MAXIMUM", {}, [ints(1, 5), ints(3, 3)], [(2,)]),
    ("MINIMUM", {}, [ints(1, 5), ints(3, 3)], [(2,)]),
    ("REDUCE_PROD", {"keepDims": True}, [ints(2, 5), ints(0)], [(1,)]),
    ("SUM", {"keepDims": False}, [ints(2, 5), ints(0)], [()]),
]  # fmt: skip


def of_constants(kind, options, values, shapes, *, dtype="int32"):
    """Return a graph of the op, and of one that reads its first output and the image."""
    read = [constant(f"c{number}", value) for number, value in enumerate(values)]
    made = [Tensor(f"m{number}", shape, dtype) for number, shape in enumerate(shapes)]
    ends = [Tensor("image", IMAGE), Tensor("floats", shapes[0]), Tensor("out", IMAGE)]
    names = tuple(tensor.name for tensor in read), tuple(tensor.name for tensor in made)
    ops = (
        Op(kind, *names, options, version=2 if kind == "BROADCAST_TO" else 1),
        Op("CAST", ("m0",), ("floats",)),
        Op("ABS", ("image",), ("out",)),
    )
    return Graph({t.name: t for t in (*read, *made, *ends)}, ops, ("image",), ("floats", "out"))


@pytest.mark.parametrize(("kind", "options", "values", "shapes"), OPS, ids=[row[0] for row in OPS])
def test_a_folded_op_gives_what_litert_computes(kind, options, values, shapes):
    dtype = "float32" if kind in ("CAST", "FILL") else "int32"
    graph = of_constants(kind, options, values, shapes, dtype=dtype)

    found = folded(graph)

    runtime = open_interpreter(write(graph), Path("model.tflite"), threads=1)
    runtime.invoke()
    wanted = runtime.get_tensor(runtime.get_output_details()[0]["index"])
    assert [op.kind for op in found.ops] == ["CAST", "ABS"]
    assert found.tensors["m0"].shape == shapes[0]
    np.testing.assert_array_equal(found.value("m0").astype(np.float32), wanted)


def test_a_chain_from_a_shape_is_folded():
    names = ("shape", "batch", "wanted")
    tensors = {
        "image": Tensor("image", IMAGE),
        **{name: Tensor(name, (), "int32") for name in names},
        "one": constant("one", ints(1)), "zero": constant("zero", ints(0)),
        "72": constant("72", np.int32(72)), "out": Tensor("out", (1, 72)),
    }  # fmt: skip
    ops = (
        Op("SHAPE", ("image",), ("shape",)),
        Op("STRIDED_SLICE", ("shape", "zero", "one", "one"), ("batch",), {"shrinkAxisMask": 1}),
        Op("PACK", ("batch", "72"), ("wanted",), {"axis": 0, "valuesCount": 2}),
        Op("RESHAPE", ("image", "wanted"), ("out",)),
    )

    found = folded(Graph(tensors, ops, ("image",), ("out",)))

    assert [op.kind for op in found.ops] == ["RESHAPE"]
    assert found.value("wanted").tolist() == [1, 72]


def test_the_shape_of_what_is_open_is_not_folded():
    tensors = {"image": Tensor("image", IMAGE, open_axes=(0,)), "out": Tensor("out", (4,), "int32")}
    extra = {"sum": Tensor("sum", (4,), "int32")}
    ops = (Op("SHAPE", ("image",), ("out",)), Op("ADD", ("out", "out"), ("sum",)))

    assert len(folded(Graph(tensors | extra, ops, ("image",), ("sum",))).ops) == 2


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("FILL", [ints(MAX_ELEMENTS, 2), np.float32(1)]),
        ("TILE", [ints(1, 2), ints(MAX_ELEMENTS)]),
        ("RANGE", [np.int32(0), np.int32(2**30), np.int32(1)]),
        ("RANGE", [np.int32(0), np.int32(1), np.int32(0)]),
        ("BROADCAST_TO", [ints(1), ints(2**15, 2**15)]),
    ],
)
def test_what_would_grow_large_stays_an_op(kind, values):
    graph = of_constants(kind, {}, values, [(1,)])

    assert folded(graph).ops == graph.ops


def test_a_fused_activation_and_an_output_stay():
    relu = of_constants("ADD", {"fusedActivationFunction": "RELU"}, [ints(-1), ints(0)], [(1,)])
    ended = of_constants("ADD", {}, [ints(-1), ints(0)], [(1,)])
    ended = Graph(ended.tensors, ended.ops, ended.inputs, ("m0", "out"))

    assert len(folded(relu).ops) == 3
    assert [op.kind for op in folded(ended).ops] == ["ADD", "ABS"]
