"""Give each op with weights a bias of its own, which sums behind it go into and repairs may write.

TensorFlow's converter stores equal constants once: all depthwise convolutions without a bias share
one row of zeros. What two ops share no repair may change, so none of those was equalised or
corrected: on the 46 depthwise layers of a portrait U-Net, not one. Old converters write the bias of
a transposed convolution as an ADD behind it, whose input is rounded to int8 once more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from converter.graph.edits import free_name, with_ops
from converter.graph.fusing import WEIGHTED, fused
from converter.graph.values import ABSENT, Tensor

if TYPE_CHECKING:
    from converter.graph.values import Graph, Op

# Of TRANSPOSE_CONV, the first that takes a bias. Source: `transpose_conv.cc` of TensorFlow Lite.
BIASED_VERSION = 3


def with_own_biases(graph: Graph) -> Graph:
    """Return the same function as a float graph whose ops with weights share no bias.

    What adds a constant to each channel behind one goes into its bias, as `fused` says.
    """
    return fused(biased(graph))


def biased(graph: Graph) -> Graph:
    """Return the same function with a bias of its own for each op with weights.

    LiteRT refuses a CONV_2D without one; some exporters write it so.
    """
    changed: dict[Op, tuple[Op]] = {}
    added: list[Tensor] = []
    seen: set[str] = set()
    for op in graph.ops:
        if op.kind not in WEIGHTED:
            continue
        bias = _own_bias(graph, op, seen)
        if bias is not None:
            added.append(bias)
            inputs = (*op.inputs[: WEIGHTED[op.kind][1]], bias.name)
            least = BIASED_VERSION if op.kind == "TRANSPOSE_CONV" else 1
            changed[op] = (replace(op, inputs=inputs, version=max(op.version, least)),)
    return with_ops(graph, changed, tensors=added)


def _own_bias(graph: Graph, op: Op, seen: set[str]) -> Tensor | None:
    """Return a bias for an op that has none, or shares it with one of `seen`; else `None`."""
    weights_at, bias_at, axis = WEIGHTED[op.kind]
    weights = graph.value(op.inputs[weights_at]) if len(op.inputs) > weights_at else None
    if weights is None or weights.dtype != np.float32:
        return None
    name = op.inputs[bias_at] if len(op.inputs) > bias_at else ABSENT
    shared = graph.value(name)
    if name != ABSENT and (name not in seen or shared is None):
        seen.add(name)
        return None
    value = np.zeros(weights.shape[axis], np.float32) if shared is None else np.array(shared)
    return Tensor(free_name(graph, f"{op.output}/own_bias"), value.shape, value=value)
