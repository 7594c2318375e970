"""The structural check: real models pass, and what cannot be true is named in one sentence."""

from __future__ import annotations

import inspect
import re
import tracemalloc
from pathlib import Path

import flatbuffers
import hostile_models
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st
from reference import tiny_model, tiny_net, tiny_segmenter

from edge.errors import ModelError
from edge.model import model_file, structure
from edge.model.default import default_model_path
from edge.model.flatbuffer import MAX_STEPS

pytestmark = pytest.mark.board

PATH = Path("model.tflite")
NET = tiny_net.build()
SMALL = tiny_segmenter.flatbuffer()
IMAGE, WEIGHTS, STEM = 0, 1, 3  # tensors of the net
EVERY_TYPE = [value for name, value in vars(schema.TensorType).items() if name.isupper()]


def shipped():
    return model_file.read(default_model_path()).flatbuffer


def fault(flatbuffer):
    with pytest.raises(ModelError) as caught:
        structure.check(flatbuffer, PATH)
    return str(caught.value)


def changed(change, flatbuffer=NET):
    model = hostile_models.unpacked(flatbuffer)
    change(model)
    return hostile_models.packed(model)


def ints(*values):
    return np.array(values, np.int32)


@pytest.mark.parametrize(
    "flatbuffer",
    [
        pytest.param(shipped(), id="the shipped one, its weights behind the tables"),
        pytest.param(NET, id="a float net of nine ops"),
        pytest.param(tiny_model.build(), id="four ops"),
        pytest.param(tiny_model.build(schema.TensorType.FLOAT16), id="float16"),
        pytest.param(SMALL, id="int8"),
        pytest.param(tiny_segmenter.flatbuffer("edgetpu-custom-op"), id="a custom op"),
    ],
)
def test_a_sound_model_passes(flatbuffer):
    structure.check(flatbuffer, PATH)


@pytest.mark.assets
def test_every_real_model_passes(assets):
    paths = sorted((assets / "models").rglob("*.tflite"))

    assert len(paths) > 10
    for path in paths:
        structure.check(path.read_bytes(), path)


def test_the_check_copies_nothing_of_the_weights():
    flatbuffer = shipped()
    tracemalloc.start()
    structure.check(flatbuffer, PATH)
    _now, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak_bytes < len(flatbuffer) / 10


def whole(model):
    return model


def graph(model):
    return model.subgraphs[0]


def operator(number):
    return lambda model: model.subgraphs[0].operators[number]


def tensor(number):
    return lambda model: model.subgraphs[0].tensors[number]


@pytest.mark.parametrize(
    ("part", "fields", "words"),
    [
        pytest.param(whole, {"version": 4}, "version 4, not 3", id="version"),
        pytest.param(whole, {"subgraphs": []}, "no graph", id="no graph"),
        pytest.param(
            lambda model: model.operatorCodes[1],
            {"builtinCode": -7, "deprecatedBuiltinCode": -8},
            "operator code 1: it is -7", id="operator code",
        ),
        pytest.param(
            operator(2), {"opcodeIndex": 9}, "graph 0: operator 2: its code is number 9 of 9",
            id="operator code's index",
        ),
        pytest.param(
            operator(0), {"inputs": ints(0, 99)}, "operator 0: an input is number 99 of 21",
            id="operator's input",
        ),
        pytest.param(
            operator(1), {"inputs": ints(-1)}, "operator 1: its first input is missing",
            id="a missing input",
        ),
        pytest.param(
            operator(0), {"outputs": ints(-1)}, "operator 0: an output is number -1",
            id="operator's output",
        ),
        pytest.param(
            operator(0), {"outputs": ints(WEIGHTS)}, "operator 0: it writes to a constant",
            id="an output that is a constant",
        ),
        pytest.param(graph, {"inputs": ints(WEIGHTS)}, "is a constant", id="a constant input"),
        pytest.param(graph, {"outputs": ints(21)}, "an output is number 21 of 21", id="output"),
        pytest.param(
            tensor(STEM), {"buffer": 500}, f"tensor {STEM}: its buffer is number 500", id="buffer"
        ),
        pytest.param(
            lambda model: model.buffers[1], {"data": np.zeros(863, np.uint8)},
            f"tensor {WEIGHTS}: its shape (8, 3, 3, 3) needs 864 bytes, it has 863", id="weights",
        ),
        pytest.param(
            lambda model: model.buffers[1], {"data": None, "offset": 10**6, "size": 864},
            "buffer 1: its bytes end at 1000864", id="weights behind the end",
        ),
        pytest.param(
            tensor(IMAGE), {"shape": ints(1, 30_000, 30_000, 3)},
            "tensor 0: its shape (1, 30000, 30000, 3) takes 10299 MiB, over 512", id="image",
        ),
        pytest.param(
            tensor(IMAGE), {"shape": ints(1, -16, 16, 3)}, "its shape is (1, -16, 16, 3)",
            id="a negative side",
        ),
        pytest.param(tensor(IMAGE), {"shape": ints(*[1] * 9)}, "its shape is", id="nine axes"),
        pytest.param(tensor(IMAGE), {"type": 99}, "its type is number 99", id="type"),
        pytest.param(tensor(IMAGE), {"name": b"\xff"}, "not UTF-8", id="name"),
        pytest.param(tensor(IMAGE), {"externalBuffer": 1}, "in another file", id="another file"),
        pytest.param(
            lambda model: model.signatureDefs[0].inputs[0], {"tensorIndex": 21},
            "signature 0: a tensor is number 21 of 21", id="signature",
        ),
        pytest.param(
            lambda model: model.signatureDefs[0], {"subgraphIndex": 1},
            "signature 0: its graph is number 1 of 1", id="signature's graph",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_true_is_named(part, fields, words):
    told = fault(changed(lambda model: vars(part(model)).update(fields)))

    assert words in told
    assert told.startswith("model.tflite: ")
    assert told.endswith("; the model is damaged or hostile: copy it or convert it again")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({"scale": [float("nan")], "zeroPoint": [0]}, "scale", id="not a number"),
        pytest.param({"scale": [-0.5], "zeroPoint": [0]}, "scale", id="negative"),
        pytest.param({"scale": [0.5], "zeroPoint": [128]}, "zero point", id="zero point"),
        pytest.param({"scale": [0.5] * 3, "zeroPoint": [0] * 2}, "3 scales and 2", id="counts"),
        pytest.param({"scale": [0.5] * 2}, "2 scales along axis 0 of (1, 24", id="axis"),
    ],
)
def test_a_quantisation_that_cannot_be_true_is_named(fields, words):
    def change(model):
        table = schema.QuantizationParametersT()
        table.scale = np.array(fields["scale"], np.float32)
        table.zeroPoint = np.array(fields.get("zeroPoint", [0]), np.int64)
        tensor(IMAGE)(model).quantization = table

    assert words in fault(changed(change, SMALL))


def test_every_tensor_type_of_the_schema_is_known():
    assert sorted(EVERY_TYPE) == list(range(len(structure.ITEM_BITS)))


def test_the_vectors_in_unions_are_those_of_the_schema():
    source = inspect.getsource(schema)
    item_bytes = {
        (table, name): int(size)
        for table, name, size in re.findall(
            r"def (\w+?)Start(\w+)Vector\(builder, numElems\):\s+return builder.StartVector\((\d)",
            source,
        )
    }
    offsets = re.findall(
        r"def (\w+?)Add(\w+)\(.*\n\s+builder.PrependUOffsetTRelativeSlot\((\d+)", source
    )

    def rows(union):
        # A string has no function of its own; its letters are bytes.
        found = {
            number: tuple(
                (int(field), item_bytes.get((table, name), 1))
                for owner, name, field in offsets
                if owner == table
            )
            for table, number in vars(union).items()
        }
        return {number: row for number, row in found.items() if row}

    assert rows(schema.BuiltinOptions) == structure.OPTIONS
    assert rows(schema.BuiltinOptions2) == structure.OPTIONS_2
    assert rows(schema.QuantizationDetails) == structure.QUANTISATION_DETAILS


def test_parts_that_share_their_bytes_cannot_make_a_small_file_endless():
    """A thousand graphs that are one, of a thousand tensors that are one."""
    builder = flatbuffers.Builder()
    name = builder.CreateString("n" * 100)
    schema.TensorStart(builder)
    schema.TensorAddName(builder, name)
    tensors = repeated(builder, schema.TensorEnd(builder))
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    graphs = repeated(builder, schema.SubGraphEnd(builder))
    schema.ModelStart(builder)
    schema.ModelAddVersion(builder, 3)
    schema.ModelAddSubgraphs(builder, graphs)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")

    assert f"it has over {MAX_STEPS} parts" in fault(bytes(builder.Output()))


def repeated(builder, table, count=1000):
    builder.StartVector(4, count, 4)
    for _ in range(count):
        builder.PrependUOffsetTRelative(table)
    return builder.EndVector()


@given(st.data())
def test_any_cut_is_refused_or_accepted_and_nothing_else(data):
    end = data.draw(st.integers(0, len(SMALL) - 1))

    accepts(SMALL[:end])


@given(st.lists(st.tuples(st.integers(0, len(NET) - 1), st.integers(0, 255)), max_size=8))
def test_any_change_is_refused_or_accepted_and_nothing_else(changes):
    flatbuffer = bytearray(NET)
    for place, value in changes:
        flatbuffer[place] = value

    accepts(bytes(flatbuffer))


@given(st.binary(max_size=200))
def test_any_bytes_behind_the_identifier_are_refused_or_accepted(tail):
    accepts(tail[:4].ljust(4, b"\0") + b"TFL3" + tail[4:])


def accepts(flatbuffer):
    try:
        structure.check(flatbuffer, PATH)
    except ModelError as error:
        assert "\n" not in str(error)  # noqa: PT017 - of a refusal, where there is one
        return False
    return True
