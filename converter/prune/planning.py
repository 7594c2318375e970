"""How many channels of which group go: least error for the time that they save."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from converter.graph.edits import with_values
from converter.prune.channels import MULTIPLE
from converter.prune.cutting import pruned
from converter.prune.running import tapped
from converter.prune.surgeon import Sheet, Uneven, taken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from converter.graph.values import Graph
    from converter.prune.channels import Channels, Group, Kept
    from converter.prune.reading import Moments, Reader
    from edge.terminal.progress import Progress

    Array = NDArray[np.float32]

# Levels of a group: how many shares of it may go, one after the other.
LEVELS = 8
# Of ops whose work is a product of what they read and make; the others' goes with what they make.
PRODUCTS = ("CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")


class Costs:
    """What a graph's ops take, and what is left of that once channels are cut.

    Args:
        channels: Of the whole.
        op_us: Microseconds of each op, by the name of what it makes; of others none.
    """

    def __init__(self, channels: Channels, op_us: Mapping[str, float]) -> None:
        self._rows = []
        for op in channels.graph.ops:
            if not op_us.get(op.output):
                continue
            names = [op.output]
            if op.kind in PRODUCTS:
                names += [name for name in op.inputs if name in channels.wires]
            wires = [channels.wires[name].ids for name in names if name in channels.wires]
            self._rows.append((op_us[op.output], wires))
        self.whole_us = sum(us for us, _ in self._rows)
        self._channels = channels

    def left_us(self, kept: Kept) -> float:
        """Return the time of the ops once only these channels stay.

        An op's time goes with the channels that it makes, and a convolution's with those that it
        reads as well.
        """
        stands = self._channels.standing(kept)
        return sum(
            us * float(np.prod([stands[ids].mean() for ids in wires])) for us, wires in self._rows
        )


@dataclass(frozen=True, slots=True, eq=False)
class Ladder:
    """What cutting one group alone does, step by step.

    Attributes:
        kept: Which of its channels stay at each step, from all of them on.
        errors: Of the outputs, squared error over power, summed over the outputs.
    """

    kept: tuple[NDArray[np.bool_], ...]
    errors: tuple[float, ...]


def counts(channels: int) -> tuple[int, ...]:
    """Return how many channels of a group may stay, falling: multiples of `MULTIPLE`, not all."""
    steps = np.linspace(channels, MULTIPLE, LEVELS)
    found = {int(step) // MULTIPLE * MULTIPLE for step in steps}
    return tuple(sorted((each for each in found if 0 < each < channels), reverse=True))


def sensitivities(
    channels: Channels,
    read: Sequence[Reader],
    seen: Mapping[str, Moments],
    inputs: Sequence[Array],
    *,
    progress: Progress | None = None,
) -> dict[str, Ladder]:
    """Cut each group alone, step by step, its readers refitted, and say what the outputs lose.

    Args:
        channels: Of the whole.
        read: Its readers.
        seen: What they multiply.
        inputs: What the model sees of some images, to look at the outputs.
        progress: Called with (groups done, groups).
    """
    graph = channels.graph
    wanted = list(tapped(graph, graph.outputs, inputs))
    found = {}
    for done, (name, group) in enumerate(channels.groups.items(), start=1):
        kept, errors = [np.ones(len(group), bool)], [0.0]
        sheets = _sheets(read, seen, group)
        for mask in taken(group, list(sheets.values()), counts(len(group))):
            stands = channels.standing({name: mask})
            cut = pruned(channels, {name: mask})
            values: dict[str, Array] = {}
            for reader, sheet in sheets.items():
                values |= sheet.values(stands[reader.ids])
            kept.append(mask)
            # What was worse with more channels was noise.
            errors.append(max(errors[-1], output_error(with_values(cut, values), wanted, inputs)))
        found[name] = Ladder(tuple(kept), tuple(errors))
        if progress:
            progress(done, len(channels.groups))
    return found


def _sheets(
    read: Sequence[Reader], seen: Mapping[str, Moments], group: Group
) -> dict[Reader, Sheet]:
    found = {}
    for reader in read:
        with contextlib.suppress(Uneven):
            found[reader] = Sheet(reader, seen[reader.op.output], group)
    return found


def output_error(graph: Graph, wanted: Sequence[list[Array]], inputs: Sequence[Array]) -> float:
    """Return the squared error of each output over its power, summed over the outputs."""
    noise, power = np.zeros(len(graph.outputs)), np.zeros(len(graph.outputs))
    for target, found in zip(wanted, tapped(graph, graph.outputs, inputs), strict=True):
        noise += [
            np.square(a - b, dtype=np.float64).sum() for a, b in zip(target, found, strict=True)
        ]
        power += [np.square(a, dtype=np.float64).sum() for a in target]
    return float((noise / np.maximum(power, np.finfo(np.float64).tiny)).sum())


def plan(
    ladders: Mapping[str, Ladder], costs: Costs, *, left_us: float
) -> dict[str, NDArray[np.bool_]]:
    """Return which channels stay, so that at most this time is left; fewer where nothing is left.

    Greedy: of all groups' next steps, and the steps behind them, the one of the least error for
    the time that it saves, until enough is saved. Errors of groups are taken to add up.
    """
    steps = dict.fromkeys(ladders, 0)
    kept = {name: ladder.kept[0] for name, ladder in ladders.items()}
    now_us = costs.left_us(kept)
    while now_us > left_us:
        choices = []
        for name, ladder in ladders.items():
            for step in range(steps[name] + 1, len(ladder.kept)):
                saved_us = now_us - costs.left_us(kept | {name: ladder.kept[step]})
                if saved_us > 0:
                    cost = ladder.errors[step] - ladder.errors[steps[name]]
                    choices.append((cost / saved_us, name, step))
        if not choices:
            break
        _, name, step = min(choices)
        steps[name] = step
        kept[name] = ladders[name].kept[step]
        now_us = costs.left_us(kept)
    return {name: mask for name, mask in kept.items() if not mask.all()}
