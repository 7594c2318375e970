"""TF.js' fused ops become the plain ops they stand for."""

from __future__ import annotations

import base64

import pytest

from converter.importers.tensorflow.graphdef import Graph, Node
from converter.importers.tensorflow.tfjs import unfuse
from edge.errors import ModelError


def fused(op, *names):
    listed = [base64.b64encode(name.encode()).decode() for name in names]
    attrs = {"T": {"type": 1}, "padding": {"s": "U0FNRQ=="}, "fused_ops": {"list": {"s": listed}}}
    return Graph({"y": Node("y", op, ("x", "w", "b"), attrs)}, {})


@pytest.mark.parametrize(
    ("op", "plain"),
    [
        ("_FusedConv2D", "Conv2D"),
        ("FusedDepthwiseConv2dNative", "DepthwiseConv2dNative"),
        ("_FusedMatMul", "MatMul"),
    ],
)
def test_a_fused_op_becomes_op_bias_and_activation_the_last_with_its_name(op, plain):
    nodes = unfuse(fused(op, "BiasAdd", "Relu6")).nodes

    assert [node.op for node in nodes.values()] == [plain, "BiasAdd", "Relu6"]
    first, second, last = nodes.values()
    assert first.inputs == ("x", "w")
    assert second.inputs == (first.name, "b")
    assert last.inputs == (second.name,)
    assert last.name == "y"
    assert "fused_ops" not in first.attrs


def test_an_unknown_fusion_is_refused():
    with pytest.raises(ModelError, match="fuses _FusedConv2D with 'Prelu'"):
        unfuse(fused("_FusedConv2D", "BiasAdd", "Prelu"))
