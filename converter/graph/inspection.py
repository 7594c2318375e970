"""What a graph computes with, its tables for a terminal and as JSON."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from converter.graph.values import ABSENT
from edge.terminal.table import render

if TYPE_CHECKING:
    from converter.graph.values import Graph, Tensor

NAME_COLUMNS = 60  # of a tensor's name, its end: names of fused ops grow long


def as_json(graph: Graph) -> dict[str, Any]:
    """Return the tables ready for JSON: tensors, and ops that name them by their numbers."""
    numbers = {name: number for number, name in enumerate(graph.tensors)}
    ops = [
        {
            "kind": op.kind,
            "version": op.version,
            "inputs": [numbers[name] for name in op.inputs if name != ABSENT],
            "outputs": [numbers[name] for name in op.outputs],
            "dtypes": [dtype.upper() for dtype in graph.dtypes(op)],
        }
        for op in graph.ops
    ]
    tensors = [
        {
            "name": tensor.name,
            "shape": tensor.shape,
            "dtype": tensor.dtype.upper(),
            "scales": _scales(tensor),
            "bytes": 0 if tensor.value is None else tensor.value.nbytes,
        }
        for tensor in graph.tensors.values()
    ]
    return {
        "op_counts": dict(Counter(op.kind for op in graph.ops).most_common()),
        "float_ops": len(graph.float_ops()),
        "ops": ops,
        "tensors": tensors,
        "inputs": [numbers[name] for name in graph.inputs],
        "outputs": [numbers[name] for name in graph.outputs],
    }


def as_text(graph: Graph) -> str:
    """Return the tables for a terminal: ops by kind, then each op with what it makes."""
    counts = Counter((op.kind, op.version, " ".join(graph.dtypes(op)).upper()) for op in graph.ops)
    kinds = [[kind, number, *rest] for (kind, *rest), number in counts.most_common()]
    ends = [
        [side, *_row(graph.tensors[name])]
        for side, names in (("input", graph.inputs), ("output", graph.outputs))
        for name in names
    ]
    made = [
        [number, op.kind, *_row(graph.tensors[name])]
        for number, op in enumerate(graph.ops)
        for name in op.outputs
    ]
    columns = ["tensor", "shape", "type", "scales"]
    return "\n\n".join(
        [
            render(["op", "count", "version", "types"], kinds),
            f"ops that touch floats: {len(graph.float_ops())} of {len(graph.ops)}",
            render(["", *columns], ends),
            render(["number", "op", *columns], made),
        ]
    )


def _scales(tensor: Tensor) -> int:
    return 0 if tensor.quantisation is None else len(tensor.quantisation.scales)


def _row(tensor: Tensor) -> list[object]:
    shape = "x".join(map(str, tensor.shape))
    return [tensor.name[-NAME_COLUMNS:], shape, tensor.dtype.upper(), _scales(tensor)]
