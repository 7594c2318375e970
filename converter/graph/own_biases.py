"""Give each convolution a bias of its own, which repairs may then write.

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
from converter.graph.values import Tensor

if TYPE_CHECKING:
    from converter.graph.values import Graph, Op

# Inputs, the bias among them.
INPUTS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "TRANSPOSE_CONV": 4}
# Of TRANSPOSE_CONV, the first that takes a bias. Source: `transpose_conv.cc` of TensorFlow Lite.
BIASED_VERSION = 3


def with_own_biases(graph: Graph) -> Graph:
    """Return the same function as a float graph whose convolutions share no bias.

    An ADD of a constant behind a transposed convolution without a bias becomes its bias.
    """
    return _unshared(_folded(graph))


def _unshared(graph: Graph) -> Graph:
    """Copy each bias that is read more than once for all but its first reader."""
    seen: set[str] = set()
    for op in graph.ops:
        if len(op.inputs) != INPUTS.get(op.kind) or not _is_float_constant(graph, op.inputs[-1]):
            continue
        bias = graph.tensors[op.inputs[-1]]
        if bias.name in seen:
            own = replace(
                bias, name=free_name(graph, f"{bias.name}_own"), value=np.array(bias.value)
            )
            changed = replace(op, inputs=(*op.inputs[:-1], own.name))
            graph = with_ops(graph, {op: (changed,)}, tensors=[own])
        seen.add(bias.name)
    return graph


def _folded(graph: Graph) -> Graph:
    """Make sums with a constant the bias of the transposed convolution before."""
    for op in graph.ops:
        if op.kind != "ADD" or op.activation != "NONE":
            continue
        for source, added in (op.inputs, op.inputs[::-1]):
            before = graph.producers.get(source)
            if before is None or graph.sole_reader(source) is not op:
                continue
            if not _takes_bias(graph, before, added):
                continue
            found = graph.tensors[added]
            name = free_name(graph, f"{added}_own")
            bias = Tensor(name, (graph.shape(source)[-1],), value=np.array(found.value).ravel())
            biased = replace(
                before, inputs=(*before.inputs, name), outputs=op.outputs,
                version=max(before.version, BIASED_VERSION),
            )  # fmt: skip
            graph = with_ops(graph, {before: (biased,), op: ()}, tensors=[bias])
            break
    return graph


def _takes_bias(graph: Graph, op: Op, added: str) -> bool:
    """Return whether an op is a transposed convolution that a constant may become the bias of."""
    if op.kind != "TRANSPOSE_CONV" or len(op.inputs) != INPUTS[op.kind] - 1:
        return False
    if op.activation != "NONE" or not _is_float_constant(graph, added):
        return False
    value, outputs = graph.tensors[added].value, graph.shape(op.output)[-1]
    return value is not None and value.shape[-1:] == (outputs,) == (value.size,)


def _is_float_constant(graph: Graph, name: str) -> bool:
    return graph.is_constant(name) and graph.tensors[name].dtype == "float32"
