"""An ONNX model as a TensorFlow graph, images turned from channels first to channels last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converter.importers import onnx_layout, onnx_pointwise, onnx_spatial
from converter.importers.onnx_values import Values
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from converter.graphdef import Graph
    from converter.importers.onnx_file import OnnxModel, OnnxNode

HANDLERS = onnx_pointwise.HANDLERS | onnx_spatial.HANDLERS | onnx_layout.HANDLERS


def translate(
    model: OnnxModel, fetches: Sequence[str], *, feed: str
) -> tuple[Graph, dict[str, str]]:
    """Return the graph that makes the fetched values, and the node of each, channels last.

    Raises:
        ModelError: An operation has no counterpart here.
    """
    values = Values(model, feed)
    for node in _needed(model, fetches):
        if node.op not in HANDLERS:
            raise ModelError(
                f"expected operations of convolutional detectors, found {node.op} ({node.name}); "
                f"known are {', '.join(sorted(HANDLERS))}"
            )
        HANDLERS[node.op](values, node)
    made = {value: values.image(value) for value in fetches}
    return values.builder.graph(), made


def _needed(model: OnnxModel, fetches: Sequence[str]) -> list[OnnxNode]:
    """Return the nodes that the values need, in order."""
    wanted = set(fetches)
    kept = []
    for node in reversed(model.nodes):
        if wanted & set(node.outputs):
            kept.append(node)
            wanted |= set(node.inputs)
    return kept[::-1]
