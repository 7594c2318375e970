"""The decode behind raw heads, asked and not recognised: what does it answer to known values?

Each exporter writes the same few formulas in ops of its own. Run on values that were chosen, a tail
says by its results which formula it is, with which anchors and in which units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from converter.graph.edits import cut
from converter.graph.values import ABSENT
from converter.graph.writing import write
from converter.importers.heads.raw import MOVERS
from converter.importers.tflite_probe import answers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from converter.graph.values import Graph, Op

# What chooses rows by their values: suppression, the best of them. The decode ends before it.
CHOOSERS = (
    "TOPK_V2", "NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5", "WHERE", "ARG_MAX", "ARG_MIN",
    "GATHER_ND", "WHILE", "IF", "CALL", "CALL_ONCE", "SCATTER_ND", "SELECT", "SELECT_V2",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tail:
    """What stands behind raw heads.

    Attributes:
        graph: The whole model.
        raws: Its raw heads.
        ends: The tensors in which the decode ends, each with the raw heads that it hangs on.
        is_raw: The decode does nothing but move values.
    """

    graph: Graph
    raws: tuple[str, ...]
    ends: dict[str, frozenset[str]]
    is_raw: bool

    def ask(
        self, questions: Sequence[dict[str, NDArray[np.float32]]], path: Path
    ) -> list[dict[str, NDArray[Any]]]:
        """Return the ends for each set of values, raw head to values.

        Raises:
            ModelError: LiteRT cannot invoke the tail.
        """
        ins = {name: f"raw{number}" for number, name in enumerate(self.raws)}
        outs = {name: f"end{number}" for number, name in enumerate(self.ends)}
        part = cut(
            self.graph,
            {new: old for old, new in outs.items()},
            inputs={new: old for old, new in ins.items()},
        )
        asked = [{ins[name]: value for name, value in values.items()} for values in questions]
        found = answers(write(part), asked, path)
        return [{name: rows[outs[name]] for name in self.ends} for rows in found]


def tail_of(graph: Graph, raws: Iterable[str]) -> Tail:
    """Return what stands behind raw heads, as far as it hangs on them alone."""
    raws = tuple(raws)
    reach = {name: frozenset([name]) for name in raws}
    ends: dict[str, frozenset[str]] = {}
    kinds: set[str] = set()
    behind = set(raws)
    for op in graph.ops:
        sources = [name for name in op.inputs if name != ABSENT and graph.value(name) is None]
        if behind.isdisjoint(sources) or set(op.outputs) & set(raws):
            continue
        behind.update(op.outputs)
        kinds.add(op.kind)
        if _chooses(graph, op) or not all(name in reach for name in sources):
            ends |= {name: reach[name] for name in sources if name in reach}
            continue
        found = frozenset().union(*(reach[name] for name in sources))
        reach |= dict.fromkeys(op.outputs, found)
    ends |= {name: reach[name] for name in graph.outputs if name in reach}
    # Some exporters give the raw heads as further outputs beside what is decoded of them.
    ends = {name: own for name, own in ends.items() if name not in raws}
    return Tail(graph, raws, ends, is_raw=kinds <= set(MOVERS))


def _chooses(graph: Graph, op: Op) -> bool:
    return (
        op.kind in CHOOSERS
        or op.custom is not None
        or (op.kind == "GATHER" and graph.value(op.inputs[1]) is None)
    )
