"""A float graph of TensorFlow as plain values, as its file has it before it is lowered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")
# Nodes that nobody reads, and that are no output either.
NO_OUTPUT = ("Const", "Assert", "NoOp", "Placeholder", "AssignVariableOp", "SaveV2", "RestoreV2")


@dataclass(frozen=True, slots=True)
class Node:
    """One operation.

    Attributes:
        inputs: As GraphDef spells them: `name`, `name:1` for a later output, `^name` for control.
        attrs: As the protobuf JSON mapping of AttrValue spells them.
    """

    name: str
    op: str
    inputs: tuple[str, ...] = ()
    attrs: dict[str, Any] = field(default_factory=dict)

    def data_inputs(self) -> tuple[str, ...]:
        """Return the inputs that carry a tensor."""
        return tuple(name for name in self.inputs if not name.startswith("^"))


@dataclass(frozen=True, slots=True)
class Graph:
    """Operations by name, and the values of its `Const` nodes."""

    nodes: dict[str, Node]
    constants: dict[str, NDArray[Any]]

    def producer(self, reference: str) -> Node | None:
        """Return the node that makes an input reference, or None."""
        return self.nodes.get(node_name(reference))

    def source(self, node: Node | None, position: int = 0) -> Node | None:
        """Return the producer of a node's data input, looking through Identity; None if absent."""
        while node is not None:
            inputs = node.data_inputs()
            node = self.producer(inputs[position]) if position < len(inputs) else None
            if node is None or node.op != "Identity":
                return node
            position = 0
        return None

    def between(self, fetches: Iterable[str], *, feed: str) -> Graph:
        """Return the part of the graph that the fetches need, not looking behind the feed."""
        wanted: dict[str, Node] = {}
        waiting = [node_name(name) for name in fetches]
        while waiting:
            name = waiting.pop()
            if name in wanted or name == feed or name not in self.nodes:
                continue
            node = self.nodes[name]
            wanted[name] = node
            waiting.extend(node_name(reference) for reference in node.data_inputs())
        nodes = {name: node for name, node in self.nodes.items() if name in wanted}
        constants = {name: self.constants[name] for name in nodes if name in self.constants}
        return Graph(nodes, constants)


def output_names(graph: Graph) -> list[str]:
    """Return the nodes whose results nobody in the graph reads."""
    read = {node_name(name) for node in graph.nodes.values() for name in node.inputs}
    return [
        node.name
        for node in graph.nodes.values()
        if node.name not in read and node.op not in NO_OUTPUT
    ]


def node_name(reference: str) -> str:
    """Return the node of an input reference: `^a` and `a:1` are both of node `a`."""
    return reference.removeprefix("^").partition(":")[0]


def tensor_name(reference: str) -> str:
    """Return an input reference with the number of the output that it is."""
    return reference if ":" in reference else f"{reference}:0"
