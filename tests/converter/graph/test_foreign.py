"""A file of others is refused by name, or read as ours are: fixed, folded, in float32."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from converter.graph.foreign import EDGE_TPU_OP, read_foreign, refuse_unfit
from converter.graph.reading import read
from converter.graph.values import Graph, Op, Quantisation, Tensor
from converter.graph.writing import write
from edge.errors import ModelError
from edge.model.backends.litert import open_interpreter

IMAGE = (1, 6, 4, 3)
INT32 = 2  # the schema: TensorType


def graph_of(*ops, inputs=("image",), outputs=("out",), **shapes):
    tensors = {"image": Tensor("image", IMAGE), "out": Tensor("out", IMAGE)}
    for name, found in shapes.items():
        value = found if isinstance(found, np.ndarray) else None
        shape, dtype = (found, "float32") if value is None else (value.shape, value.dtype.name)
        tensors[name] = (
            found if isinstance(found, Tensor) else Tensor(name, shape, dtype, value)
        )  # fmt: skip
    return Graph(tensors, ops, inputs, outputs)


def shapes_of(flatbuffer):
    runtime = open_interpreter(flatbuffer, Path("model.tflite"), threads=1)
    runtime.invoke()
    return {row["name"]: tuple(map(int, row["shape"])) for row in runtime.get_tensor_details()}


def foreign(tmp_path, graph, *, shapes_of=None):
    path = tmp_path / "model.tflite"
    path.write_bytes(write(graph))
    return read_foreign(path, shapes_of=shapes_of)


def test_half_precision_weights_become_float32(tmp_path):
    half = np.linspace(0, 1, 3).astype(np.float16)
    graph = graph_of(
        Op("DEQUANTIZE", ("half",), ("whole",)), Op("ADD", ("image", "whole"), ("out",)),
        half=half, whole=(3,),
    )  # fmt: skip

    found = foreign(tmp_path, graph)

    assert [op.kind for op in found.ops] == ["ADD"]
    assert found.value("whole").tolist() == half.astype(np.float32).tolist()
    assert "half" not in found.tensors


def test_a_convolution_without_a_bias_gets_one_before_its_runtime_is_asked(tmp_path):
    places = {"padding": "SAME", "strideH": 1, "strideW": 1}
    convolution = Op("CONV_2D", ("image", "weights"), ("out",), places)
    graph = graph_of(convolution, weights=np.ones((3, 1, 1, 3), np.float32))
    graph = dataclasses.replace(
        graph, tensors={**graph.tensors, "out": Tensor("out", IMAGE, open_axes=(0,))}
    )

    found = foreign(tmp_path, graph, shapes_of=shapes_of)

    assert found.value(found.producers["out"].inputs[2]).tolist() == [0, 0, 0]
    assert shapes_of(write(found))["out"] == IMAGE


def test_an_open_batch_is_1_and_what_hangs_on_it_is_folded(tmp_path):
    """Rows of the result are two a picture: the batch is not all that its open axis holds."""
    graph = graph_of(
        Op("SHAPE", ("image",), ("shape",), {"outType": INT32}),
        Op("STRIDED_SLICE", ("shape", "zero", "one", "one"), ("batch",), {"shrinkAxisMask": 1}),
        Op("MUL", ("batch", "two"), ("rows",)),
        Op("PACK", ("rows", "36"), ("wanted",), {"axis": 0, "valuesCount": 2}),
        Op("RESHAPE", ("image", "wanted"), ("out",)),
        image=Tensor("image", IMAGE, open_axes=(0,)),
        out=Tensor("out", (1, 36), open_axes=(0,)),
        shape=Tensor("shape", (4,), "int32"), batch=Tensor("batch", (), "int32"),
        rows=Tensor("rows", (), "int32"), wanted=Tensor("wanted", (2,), "int32"),
        zero=np.array([0], np.int32), one=np.array([1], np.int32), two=np.array(2, np.int32),
        **{"36": np.array(36, np.int32)},
    )  # fmt: skip

    found = foreign(tmp_path, graph, shapes_of=shapes_of)

    assert [op.kind for op in found.ops] == ["RESHAPE"]
    assert found.value("wanted").tolist() == [2, 36]
    assert found.shape("out") == (2, 36)
    assert not any(tensor.open_axes for tensor in found.tensors.values())


def test_an_open_height_is_named(tmp_path):
    graph = graph_of(
        Op("ABS", ("image",), ("out",)), image=Tensor("image", IMAGE, open_axes=(0, 1))
    )

    with pytest.raises(ModelError, match=r"'image' of shape \[-1, -1, 4, 3\].*fixed height"):
        foreign(tmp_path, graph)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (EDGE_TPU_OP, "compiled for the Edge TPU; give the file that it was compiled from"),
        ("Odd", "'Odd' is a custom one.*export the model with builtin ops"),
    ],
)
def test_custom_ops_are_named(tmp_path, kind, sentence):
    with pytest.raises(ModelError, match=sentence):
        foreign(tmp_path, graph_of(Op(kind, ("image",), ("out",), custom=b"")))


def quantised(name):
    levels = Quantisation(np.float32([0.1]), np.array([0]))
    return Tensor(name, IMAGE, "int8", quantisation=levels)


def test_a_quantised_image_is_named_at_once_and_a_quantised_tensor_after_the_cut(tmp_path):
    whole = graph_of(
        Op("QUANTIZE", ("image",), ("levels",)), Op("DEQUANTIZE", ("levels",), ("out",)),
        levels=quantised("levels"),
    )  # fmt: skip
    part = dataclasses.replace(whole, ops=whole.ops[1:], inputs=("levels",))

    with pytest.raises(ModelError, match="found an input with int8 numbers; give the float file"):
        foreign(tmp_path, part)
    with pytest.raises(ModelError, match="found QUANTIZE with int8 numbers"):
        refuse_unfit(foreign(tmp_path, whole), Path("model.tflite"))


def test_a_loop_is_named_after_the_cut():
    with pytest.raises(ModelError, match="WHILE branches or loops"):
        refuse_unfit(graph_of(Op("WHILE", ("image",), ("out",))), Path("model.tflite"))


def test_ops_that_contradict_each_other_are_damage(tmp_path):
    graph = graph_of(
        Op("RESHAPE", ("three", "shape"), ("bad",)), Op("ADD", ("image", "bad"), ("out",)),
        three=np.float32([1, 2, 3]), shape=np.array([2, 2], np.int32), bad=(2, 2),
    )  # fmt: skip

    with pytest.raises(ModelError, match=r"contradict each other.*copy the file again"):
        foreign(tmp_path, graph)


def test_ranges_that_old_converters_noted_are_left_out():
    odd = Quantisation(np.float32([]), np.array([], np.int64))
    graph = graph_of(Op("ABS", ("image",), ("out",)), out=Tensor("out", IMAGE, quantisation=odd))

    assert read(write(graph), Path("model.tflite")).tensors["out"].quantisation is None
