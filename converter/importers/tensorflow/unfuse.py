"""Split the ops that TF.js fuses for its own kernels into the TensorFlow ops they stand for."""

from __future__ import annotations

import base64

from converter.importers.tensorflow.graphdef import Graph, Node
from edge.errors import ModelError

# TF.js' fused op to the plain op, its data inputs, and what the plain op takes of the attributes.
FUSED = {
    "_FusedConv2D": "Conv2D",
    "FusedDepthwiseConv2dNative": "DepthwiseConv2dNative",
    "_FusedMatMul": "MatMul",
}
PLAIN_ATTRS = {
    "Conv2D": ("T", "strides", "padding", "data_format", "dilations", "explicit_paddings"),
    "DepthwiseConv2dNative": ("T", "strides", "padding", "data_format", "dilations"),
    "MatMul": ("T", "transpose_a", "transpose_b"),
}
ACTIVATIONS = ("Relu", "Relu6", "Elu", "Sigmoid", "Tanh")


def unfuse(graph: Graph) -> Graph:
    """Return the graph without TF.js' fused ops; the last op of each group keeps its name.

    Raises:
        ModelError: An op is fused with something that has no plain TensorFlow op here.
    """
    nodes: dict[str, Node] = {}
    for node in graph.nodes.values():
        for plain in _split(node) if node.op in FUSED else (node,):
            nodes[plain.name] = plain
    return Graph(nodes, graph.constants)


def _split(node: Node) -> list[Node]:
    op = FUSED[node.op]
    inputs = node.data_inputs()
    control = tuple(name for name in node.inputs if name.startswith("^"))
    attrs = {name: node.attrs[name] for name in PLAIN_ATTRS[op] if name in node.attrs}
    dtype = {"T": node.attrs["T"]}
    chain = [Node(f"{node.name}/{op}", op, (*inputs[:2], *control), attrs)]
    for text in node.attrs.get("fused_ops", {}).get("list", {}).get("s", []):
        fused, previous = base64.b64decode(text).decode(), chain[-1].name
        name = f"{node.name}/{fused}"
        if fused == "BiasAdd":
            chain.append(Node(name, "BiasAdd", (previous, inputs[2]), dtype))
        elif fused in ACTIVATIONS:
            chain.append(Node(name, fused, (previous,), dtype))
        else:
            raise ModelError(
                f"node {node.name!r} fuses {node.op} with {fused!r}, expected BiasAdd or one of "
                f"{', '.join(ACTIVATIONS)}; export the model without that fusion"
            )
    last = chain.pop()
    return [*chain, Node(node.name, last.op, last.inputs, last.attrs)]
