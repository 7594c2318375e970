"""What a graph gives without some of its channels, by weights of 0: what cutting them must give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from converter.graph.edits import with_values
from converter.prune.cutting import READS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converter.graph.values import Graph
    from converter.prune.channels import Channels, Kept


def masked(channels: Channels, kept: Kept) -> Graph:
    """Return the whole graph in which nothing reads the channels that fall.

    The weights by which they are multiplied are 0. It is slow, and tells what `pruned` must give.
    """
    stands = channels.standing(kept)
    values: dict[str, NDArray[Any]] = {}
    for use in channels.uses:
        if READS.get(use.op.kind) != use.axis:
            continue
        name = use.op.inputs[use.place]
        value = values.get(name, channels.graph.value(name)).copy()
        index: list[Any] = [slice(None)] * value.ndim
        index[use.axis] = ~stands[use.ids]
        value[tuple(index)] = 0
        values[name] = value
    return with_values(channels.graph, values)
