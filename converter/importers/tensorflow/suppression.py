"""Cut a graph in front of the suppression that its exporter put behind the decode.

TensorFlow Lite has no operation for most of the kinds that TensorFlow has, and the runtime does its
own; what is suppressed, decoded boxes and their scores, tells the head finder the decode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from converter.importers.tensorflow.graphdef import node_name, tensor_name
from edge.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from converter.importers.tensorflow.graphdef import Graph

KINDS = ("NonMaxSuppression", "CombinedNonMaxSuppression")
# Where a loop or a branch of TensorFlow 1 begins, and where a walk back steps over one.
BEGINS, ENDS = ("Enter", "RefEnter", "Switch"), ("Exit", "RefExit")


def before_suppression(graph: Graph, outputs: dict[str, str], path: Path) -> dict[str, str]:
    """Return the outputs, name to tensor, with what is suppressed in the place of what is left.

    Raises:
        ModelError: The suppression lies in a loop.
    """
    found: dict[str, str] = {}
    for name, tensor in outputs.items():
        part = graph.between([tensor], feed="").nodes.values()
        suppressions = [node for node in part if node.op.startswith(KINDS)]
        if not suppressions:
            found[name] = tensor
        for node in suppressions:
            if _is_in_loop(graph, node.name):
                raise ModelError(
                    f"{path}: {node.op} ({node.name}) lies in a loop, where it cannot be cut off; "
                    "name an output before it with --output-name, or export the model without it"
                )
            # Source: `image_ops.cc` of TensorFlow: boxes and scores come first in all its kinds.
            for reference in node.data_inputs()[:2]:
                found[node_name(reference)] = tensor_name(reference)
    return found


def _is_in_loop(graph: Graph, name: str) -> bool:
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        node = graph.nodes.get(waiting.pop())
        if node is None or node.name in seen or node.op in ENDS:
            continue
        seen.add(node.name)
        if node.op in BEGINS:
            return True
        waiting.extend(map(node_name, node.data_inputs()))
    return False
