"""What the checker says the Edge TPU would run, for graphs built by hand and for the default model.

Expected values restate the rows of Coral's table of supported operations.
"""

from __future__ import annotations

from pathlib import Path

import factories
import numpy as np
import pytest
from tflite_files import Builder

from converter.deliver.targets.edgetpu_check import AFTER, CPU, DOUBT, TPU, as_text, check
from converter.deliver.targets.edgetpu_ops import ON_CHIP_BYTES, SUPPORTED
from converter.graph.reading import KINDS
from edge.model import model_file
from edge.model.default import default_model_path
from edge.model.model_file import ModelFile


class Chain(Builder):
    """Ops one behind the other on one int8 image."""

    def __init__(self, shape=(1, 8, 8, 4)):
        super().__init__()
        self.first = self.last = self.tensor("image", shape, dtype="int8")

    def then(self, kind, *others, shape=(1, 8, 8, 4), version=2, dtype="int8", **options):
        made = self.tensor(f"t{len(self.tensors)}", shape, dtype=dtype)
        self.op(kind, (self.last, *others), (made,), version=version, **options)
        self.last = made
        return self

    def checked(self):
        flatbuffer = self.packed((self.first,), (self.last,))
        return check(ModelFile.of(Path("m.tflite"), flatbuffer, factories.manifest(), anchors=None))


def places(found):
    return [row.place for row in found.verdicts]


def int32(*numbers):
    return np.array(numbers, np.int32)


def test_everything_behind_an_unsupported_op_runs_on_the_cpu():
    chain = Chain()
    for kind in ("RELU", "LEAKY_RELU", "RELU", "LEAKY_RELU", "RELU"):
        chain.then(kind)

    found = chain.checked()

    assert places(found) == [TPU, CPU, CPU, CPU, CPU]
    assert [row.reason == AFTER for row in found.verdicts] == [False, False, True, False, True]
    text = as_text(found)
    assert "1 of 5 ops on the Edge TPU, 4 on the CPU" in text
    assert "the first is op 1, LEAKY_RELU" in text
    assert "2 ops that are supported run on the CPU behind it" in text


def test_a_branch_that_needs_nothing_from_the_cpu_is_mapped():
    chain = Chain()
    chain.then("LEAKY_RELU")
    side, chain.last = chain.last, chain.first
    chain.then("RELU").then("RELU").then("ADD", side)

    assert places(chain.checked()) == [CPU, TPU, TPU, CPU]


@pytest.mark.parametrize(
    ("kind", "version", "refused"),
    [
        ("CONV_2D", 5, False),
        ("CONV_2D", 6, True),
        ("TRANSPOSE_CONV", 3, False),
        ("TRANSPOSE_CONV", 4, True),
        ("QUANTIZE", 2, False),
        ("QUANTIZE", 3, True),
        ("EXP", 1, False),
        ("EXP", 2, True),
    ],
    ids=str,
)
def test_a_version_that_the_compiler_cannot_read_refuses_the_file(kind, version, refused):
    chain = Chain()
    weights = chain.constant(np.ones((4, 1, 1, 4), np.int8))

    found = chain.then(kind, weights, version=version).checked()

    assert bool(found.unreadable) == refused
    assert ("would refuse the file" in as_text(found)) == refused


def limits():
    """Rows of kind, further inputs, output shape, options, part of the reason; '' for mapped."""
    image = (1, 8, 8, 4)
    dilated = {"dilationHFactor": 2, "dilationWFactor": 1}
    evenly = {"dilationHFactor": 2, "dilationWFactor": 2}
    weights = np.ones((4, 1, 1, 4), np.int8)
    return [
        ("MAX_POOL_2D", [], image, {"fusedActivationFunction": "RELU"}, "fused activation"),
        ("MAX_POOL_2D", [], image, {"fusedActivationFunction": "NONE"}, ""),
        ("CONV_2D", [weights], image, dilated, "dilation"),
        ("CONV_2D", [weights], image, evenly, ""),
        ("FULLY_CONNECTED", [weights], (3, 4), {}, "not one-dimensional"),
        ("FULLY_CONNECTED", [weights], (1, 4), {}, ""),
        ("MEAN", [int32(1, 2)], (1, 4), {}, ""),
        ("MEAN", [int32(0)], (8, 8, 4), {}, "batch"),
        ("MEAN", [int32(-4)], (8, 8, 4), {}, "batch"),
        ("PAD", [int32(0, 0, 1, 1, 1, 1, 0, 0).reshape(4, 2)], (1, 10, 10, 4), {}, ""),
        ("PAD", [int32(1, 0, 0, 0, 0, 0, 0, 0).reshape(4, 2)], (2, 8, 8, 4), {}, "batch"),
        ("PRELU", [np.ones((1, 1, 4), np.int8)], image, {}, ""),
        ("PRELU", [np.ones((8, 8, 4), np.int8)], image, {}, "slopes"),
        ("SOFTMAX", [], image, {}, "not one-dimensional"),
        ("CONCATENATION", [np.zeros((1, 8, 8, 1), np.int8)], (1, 8, 8, 5), {}, ""),
        ("CONCATENATION", [np.ones((1, 8, 8, 1), np.int8)], (1, 8, 8, 5), {}, "not zeros"),
        (
            "STRIDED_SLICE",
            [int32(0, 0, 0, 0), int32(1, 8, 8, 4), int32(1, 2, 2, 1)],
            (1, 4, 4, 4),
            {},
            "strides",
        ),
        (
            "STRIDED_SLICE",
            [int32(0, 0, 0, 0), int32(1, 4, 4, 4), int32(1, 1, 1, 1)],
            (1, 4, 4, 4),
            {},
            "",
        ),
        ("PACK", [], (1, 1, 8, 8, 4), {"axis": 0}, "batch"),
    ]


@pytest.mark.parametrize(
    ("kind", "others", "shape", "options", "reason"),
    limits(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_limits_of_single_ops(kind, others, shape, options, reason):
    chain = Chain()
    names = map(chain.constant, others)

    (row,) = chain.then(kind, *names, shape=shape, version=3, **options).checked().verdicts

    assert reason in row.reason
    assert row.place == (CPU if reason else row.place)
    assert reason or row.place != CPU


@pytest.mark.parametrize(("values", "place"), [(16_000, TPU), (16_001, CPU)])
def test_softmax_takes_16_000_values(values, place):
    shape = (1, values)

    assert places(Chain(shape).then("SOFTMAX", shape=shape).checked()) == [place]


def test_more_than_three_long_axes_and_other_types_are_left():
    found = Chain().then("ADD", shape=(2, 8, 8, 4)).checked()
    assert "innermost" in found.verdicts[0].reason

    found = Chain().then("ADD", dtype="int16").checked()
    assert "works on int16" in found.verdicts[0].reason


def test_int8_in_an_op_of_version_1_is_doubtful():
    (row,) = Chain().then("ADD", version=1).checked().verdicts

    assert row.place == DOUBT
    assert "int8_tflite_converter" in row.reason


@pytest.mark.parametrize("excess", [0, 4096], ids=["all fit", "4 KiB too many"])
def test_weights_beyond_the_chip_are_streamed(excess):
    chain = Chain()
    weights = chain.constant(np.zeros((4, 1, 1, (ON_CHIP_BYTES + excess) // 4), np.int8))

    found = chain.then("CONV_2D", weights, version=3).checked()

    assert found.streamed_bytes == excess
    assert ("streamed" in as_text(found)) == bool(excess)


def test_the_table_names_only_ops_that_exist():
    assert set(SUPPORTED) <= set(KINDS.values())


def test_the_default_model_is_mapped_whole_but_its_versions_are_doubtful():
    found = check(model_file.read(default_model_path()))

    assert not found.on_cpu
    assert {row.place for row in found.verdicts} == {DOUBT}
    assert 4 * 2**20 < found.parameter_bytes < ON_CHIP_BYTES
