"""Which channels of a group go first: what each is worth, by any criterion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from converter.prune.channels import Channels
    from converter.prune.planning import Order

    # Of a graph, which of its channels go first; `None` for what the readers can do without.
    Criterion = Callable[[Channels], Order]

ENERGY, NORM, TAYLOR = "energy", "norm", "taylor"
CRITERIA = (ENERGY, NORM, TAYLOR)


def by_norm(channels: Channels) -> Order:
    """Rank by the squared norm of the weights that make a channel.

    Source: Li et al. 2017, "Pruning Filters for Efficient ConvNets", section 3.1, with squares.
    """
    values = {
        use.op.output: np.square(weights).reshape(len(weights), -1).sum(axis=1, dtype=np.float64)
        for use in channels.uses
        if use.place == 1 and use.axis == 0
        and (weights := channels.graph.value(use.op.inputs[1])) is not None
    }  # fmt: skip
    return by_makers(channels, values)


def by_makers(channels: Channels, values: Mapping[str, NDArray[np.float64]]) -> Order:
    """Rank by what is known of the ops that make a channel, summed over them.

    Args:
        channels: Of the graph.
        values: Of what each op makes, by its name, `(O,)`.
    """
    total = np.zeros(len(channels.roots))
    for use in channels.uses:
        if use.place == 1 and use.axis == 0:
            np.add.at(total, channels.roots[use.ids], values[use.op.output])
    return lambda group: total[group.ids]
