"""A `saved_model.pb` that can only compute: checked, and disarmed, before TensorFlow loads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from converter.graphdef_schema import parse
from converter.importers import frozen_graph
from edge.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

SAVED_MODEL = "saved_model.pb"
SAVERS = ("SaveV2", "MergeV2Checkpoints")


def disarmed_saved_model(path: Path) -> bytes:
    """Return a `saved_model.pb` that can only compute: what it would save with does nothing.

    Raises:
        ModelError: It is damaged, or has another op that reaches beyond the graph.
    """
    try:
        model = parse("SavedModel", frozen_graph.file_bytes(path))
        graphs = [meta.graph_def for meta in model.meta_graphs]
        for graph in graphs:
            for nodes in (graph.node, *(each.node_def for each in graph.library.function)):
                _disarm_inplace(nodes)
            frozen_graph.refuse_unsafe(graph, path)
        for meta in model.meta_graphs:
            for node in meta.object_graph_def.nodes:
                # Of an optimizer: TensorFlow 2.11 and later cannot load an older one's.
                del node.slot_variables[:]
    except (ValueError, UnicodeDecodeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"{path}: expected a SavedModel, found bytes that are damaged; copy the folder again"
        ) from error
    if not any(graph.node for graph in graphs):
        raise ModelError(f"{path}: expected a SavedModel, found no graph in it; export it again")
    return bytes(model.SerializeToString())


def _disarm_inplace(nodes: Any) -> None:  # noqa: ANN401
    """Every SavedModel brings along the ops that wrote its checkpoint."""
    for node in nodes:
        if node.op in SAVERS:
            node.op = "NoOp"
            del node.input[:]
            node.attr.clear()
