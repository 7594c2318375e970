"""Reading TF.js models: whole ones give their weights, damaged ones one sentence."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tfjs_files import node, write_tfjs

from converter.importers.tensorflow import tfjs
from edge.errors import EdgeError, ModelError

SHARDS = 2  # of 64 bytes hold the tiny model's 76


def change(path, edit):
    fields = json.loads(path.read_text())
    edit(fields)
    path.write_text(json.dumps(fields))
    return path


def test_weights_come_back_from_the_shards_in_their_own_shapes_and_types(tiny_tfjs, tiny_weights):
    graph = tfjs.read(tiny_tfjs)

    assert graph.constants.keys() == tiny_weights.keys()
    for name, expected in tiny_weights.items():
        np.testing.assert_array_equal(graph.constants[name], expected)
        assert graph.constants[name].dtype == expected.dtype


def test_bytes_spelt_as_numbers_become_base64_as_protobuf_json_wants_them(tiny_tfjs):
    attrs = tfjs.read(tiny_tfjs).nodes["conv"].attrs

    assert base64.b64decode(attrs["padding"]["s"]) == b"SAME"
    assert attrs["strides"]["list"]["s"] == []


@pytest.mark.parametrize(
    ("stored", "quantization", "expected"),
    [
        (np.array([0, 100, 255], np.uint8), {"dtype": "uint8", "scale": 0.5, "min": -1.0},
         [-1.0, 49.0, 126.5]),
        (np.array([0, 1000], np.uint16), {"dtype": "uint16", "scale": 0.25, "min": 3.0},
         [3.0, 253.0]),
        (np.array([1.5, -2.0], np.float16), {"dtype": "float16"}, [1.5, -2.0]),
    ],
    ids=["uint8", "uint16", "float16"],
)  # fmt: skip
def test_weights_that_tfjs_stored_smaller_come_back_as_float32(
    tmp_path, stored, quantization, expected
):
    path = write_tfjs(tmp_path, [node("w", "Const")], {"w": (stored, quantization)})

    np.testing.assert_array_equal(tfjs.read(path).constants["w"], np.array(expected, np.float32))


def test_a_missing_shard_is_named(tiny_tfjs):
    shard = tiny_tfjs.parent / f"group1-shard2of{SHARDS}"
    shard.unlink()

    with pytest.raises(ModelError, match=f"{shard.name}.*no such file"):
        tfjs.read(tiny_tfjs)


def test_a_shard_that_git_lfs_has_not_fetched_is_named(tiny_tfjs):
    shard = tiny_tfjs.parent / f"group1-shard2of{SHARDS}"
    shard.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")

    with pytest.raises(ModelError, match=f"{shard.name}.*git lfs pull"):
        tfjs.read(tiny_tfjs)


@pytest.mark.parametrize(("change_bytes", "found"), [(-5, 71), (3, 79)], ids=["short", "long"])
def test_a_byte_count_that_does_not_fit_is_refused_with_both_counts(tiny_tfjs, change_bytes, found):
    shard = tiny_tfjs.parent / f"group1-shard2of{SHARDS}"
    data = shard.read_bytes()
    shard.write_bytes((data + bytes(3))[: len(data) + change_bytes])

    with pytest.raises(ModelError, match=f"expected 76 bytes of weights, found {found}"):
        tfjs.read(tiny_tfjs)


FOREIGN = {
    "empty": (b"", "empty file"),
    "not json": (b"\x1c\0\0\0TFL3", "expected the JSON"),
    "a list": (b"[1, 2]", "other JSON"),
    "another object": (b'{"a": 1}', "other JSON"),
    "null topology": (b'{"modelTopology": null}', "other JSON"),
    "keras layers": (b'{"modelTopology": {"model_config": {}}}', "Keras layers model"),
    "no weights": (b'{"modelTopology": {"node": []}}', "weightsManifest"),
    "deep": (b"[" * 100_000, "expected"),
    "utf-16": ('{"modelTopology": {}}'.encode("utf-16"), "other JSON"),
}


@pytest.mark.parametrize(("data", "words"), FOREIGN.values(), ids=FOREIGN.keys())
def test_foreign_files_are_refused_in_one_sentence(tmp_path, data, words):
    path = tmp_path / "model.json"
    path.write_bytes(data)

    with pytest.raises(ModelError, match=words) as caught:
        tfjs.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("op", ["PyFunc", "WriteFile", "ReadFile"])
def test_an_op_that_reaches_beyond_the_graph_is_refused_by_name(tiny_tfjs, op):
    fields = json.loads(tiny_tfjs.read_text())
    nodes_of(fields)[-1]["input"].append("^evil")
    nodes_of(fields).append({"name": "evil", "op": op, "input": ["input"]})
    tiny_tfjs.write_text(json.dumps(fields))

    with pytest.raises(ModelError, match=rf"{op} \(evil\)"):
        tfjs.read(tiny_tfjs)


def weights_of(fields):
    return fields["weightsManifest"][0]["weights"]


def nodes_of(fields):
    return fields["modelTopology"]["node"]


EDITS = {
    "shard outside the folder": (
        lambda f: f["weightsManifest"][0].update(paths=["../../etc/passwd"]), "beside model.json"),
    "shard name a number": (lambda f: f["weightsManifest"][0].update(paths=[3]), "beside"),
    "unknown type": (lambda f: weights_of(f)[0].update(dtype="complex64"), "complex64"),
    "negative side": (lambda f: weights_of(f)[0].update(shape=[-1, 3]), "at least 0"),
    "huge side": (lambda f: weights_of(f)[0].update(shape=[2**62]), "expected .* bytes"),
    "shape a string": (lambda f: weights_of(f)[0].update(shape="abc"), "at least 0"),
    "weight without name": (lambda f: weights_of(f)[0].pop("name"), "'name' is missing"),
    "weight of no node": (lambda f: weights_of(f)[0].update(name="other"), "belongs to no node"),
    "constant without weight": (
        lambda f: nodes_of(f).append({"name": "c", "op": "Const"}), "has no weights"),
    "input of nobody": (lambda f: nodes_of(f)[-1]["input"].append("ghost"), "'ghost'"),
    "node without op": (lambda f: nodes_of(f)[0].pop("op"), "'op' is missing"),
    "node a number": (lambda f: nodes_of(f).append(7), "wrong type"),
    "name a number": (lambda f: nodes_of(f)[0].update(name=7), "named by strings"),
    "nodes a string": (lambda f: f["modelTopology"].update(node="abc"), "wrong type"),
    "attributes a list": (lambda f: nodes_of(f)[0].update(attr=[1]), "wrong type"),
    "byte of 999": (lambda f: nodes_of(f)[4]["attr"].update(padding={"s": [999]}), "wrong type"),
    "group without paths": (lambda f: f["weightsManifest"][0].pop("paths"), "'paths' is missing"),
    "scale a string": (
        lambda f: weights_of(f)[1].update(quantization={"dtype": "float32", "scale": "x",
                                                       "min": 0}), "wrong type"),
}  # fmt: skip


@pytest.mark.parametrize(("edit", "words"), EDITS.values(), ids=EDITS.keys())
def test_a_wrong_field_is_refused_in_one_sentence(tiny_tfjs, edit, words):
    change(tiny_tfjs, edit)

    with pytest.raises(ModelError, match=words) as caught:
        tfjs.read(tiny_tfjs)
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_finite_are_refused(tiny_tfjs):
    shard = tiny_tfjs.parent / f"group1-shard1of{SHARDS}"
    shard.write_bytes(np.array([np.nan], np.float32).tobytes() + shard.read_bytes()[4:])

    with pytest.raises(ModelError, match="'kernel' must hold finite numbers"):
        tfjs.read(tiny_tfjs)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(keep=st.floats(0, 1))
def test_a_truncated_model_json_is_refused_wherever_it_ends(tiny_tfjs, keep):
    whole = tiny_tfjs.read_bytes()
    damaged = tiny_tfjs.parent / "damaged.json"
    damaged.write_bytes(whole[: int(keep * (len(whole) - 1))])

    with pytest.raises(ModelError):
        tfjs.read(damaged)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_in_model_json_is_read_or_refused_but_never_crashes(tiny_tfjs, place, bit):
    data = bytearray(tiny_tfjs.read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    damaged = tiny_tfjs.parent / "damaged.json"
    damaged.write_bytes(data)

    try:
        tfjs.read(damaged)
    except EdgeError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right
