"""How many channels of which group go: least error for what they save."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING

import numpy as np

from converter.graph.edits import with_values
from converter.prune.channels import multiple
from converter.prune.cutting import pruned
from converter.prune.searching import ladder
from converter.prune.surgeon import Sheet, Uneven, taken
from converter.quantize.running import Halt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from converter.graph.values import Graph
    from converter.prune.channels import Channels, Group
    from converter.prune.reading import Moments, Reader
    from converter.prune.searching import Ladder, Teacher
    from edge.terminal.progress import Progress

    Array = NDArray[np.float32]
    # Of a group: what each of its channels is worth.
    Order = Callable[[Group], NDArray[np.float64]]

# Of a group: it loses eighths, and keeps two of them. What is left of a net in which all groups
# keep so few is a sixteenth of its work.
PARTS, LEAST_PARTS = 8, 2
# Of ops whose work is a product of what they read and make; the others' goes with what they make.
EPSILON = 1e-9
PRODUCTS = ("CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")


class Costs:
    """What a graph's ops take, and what is left of that once channels are cut.

    An op's cost goes with the channels that it makes, and a convolution's with those that it reads
    as well; but for a part that stays whatever is cut, as of kernels that make 16 channels at once:
    what is left at half of the channels tells it.

    Args:
        channels: Of the whole.
        of_ops: Cost of each op, in any unit, by the name of what it makes; of others none.
        of_halves: The same of the graph in which `halves` stay.
    """

    def __init__(
        self, channels: Channels, of_ops: Mapping[str, float], of_halves: Mapping[str, float]
    ) -> None:
        count = len(channels.groups)
        owners = np.full(len(channels.roots), count)
        for number, group in enumerate(channels.groups.values()):
            owners[group.ids] = number
        owners = owners[channels.roots]
        ops = [op for op in channels.graph.ops if of_ops.get(op.output)]
        self._costs = np.array([of_ops[op.output] for op in ops])
        # Of what each op makes and reads, the shares of the groups, and last of what stays.
        self._shares = np.zeros((2, len(ops), count + 1))
        self._shares[..., count] = 1
        for row, op in enumerate(ops):
            read = op.inputs if op.kind in PRODUCTS else ()
            wired = [name for name in read if name in channels.wires]
            for place, name in enumerate((op.output, *wired[:1])):
                if name in channels.wires:
                    ids = channels.wires[name].ids
                    self._shares[place, row] = np.bincount(owners[ids], minlength=count + 1)
                    self._shares[place, row] /= len(ids)
        self.whole = float(self._costs.sum())
        linear = self._linear([float(mask.mean()) for mask in halves(channels).values()])
        found = np.array([of_halves[op.output] for op in ops]) / self._costs
        # 0 where nothing was cut.
        self._fixed = np.clip((found - linear) / np.maximum(1 - linear, EPSILON), 0, 1)

    def left(self, ratios: Sequence[float]) -> float:
        """Return the cost once such a part of each group's channels stays, in their order."""
        linear = self._linear(ratios)
        return float(self._costs @ (self._fixed + (1 - self._fixed) * linear))

    def _linear(self, ratios: Sequence[float]) -> NDArray[np.float64]:
        """Return what is left of each op if nothing of it stays whatever is cut."""
        return np.asarray((self._shares @ [*ratios, 1.0]).prod(axis=0))


def halves(channels: Channels) -> dict[str, NDArray[np.bool_]]:
    """Return the first half of each group's channels, as a `multiple`."""
    found = {}
    for name, group in channels.groups.items():
        step = multiple(len(group))
        count = max(step, len(group) // 2 // step * step)
        found[name] = np.arange(len(group)) < count
    return found


def counts(channels: int) -> tuple[int, ...]:
    """Return how many channels of a group may stay, falling: each a `multiple`, not all."""
    step = multiple(channels)
    sizes = (channels * part / PARTS for part in range(LEAST_PARTS, PARTS))
    # Up, so that a quarter stays.
    found = {math.ceil(size / step) * step for size in sizes}
    return tuple(sorted((each for each in found if each < channels), reverse=True))


def sensitivities(
    channels: Channels,
    seen: Mapping[Reader, Moments],
    *,
    teacher: Teacher,
    order: Order | None = None,
    progress: Progress | None = None,
) -> dict[str, Ladder]:
    """Cut each group alone, step by step, its readers refitted, and say what the outputs lose.

    A ladder ends where the outputs are as wrong as zeros would be.

    Args:
        channels: Of the graph, which may be cut already.
        seen: Its readers, and what they multiply.
        teacher: What the outputs should be.
        order: Which channels go first; `None` asks the readers.
        progress: Called with (groups done, groups).
    """
    graph = channels.graph
    run = Halt(graph, teacher.inputs)
    least = teacher.error(run.tapped(graph, graph.outputs))
    found = {}
    for done, (name, group) in enumerate(channels.groups.items(), start=1):
        run.move(graph, group.makers[0].output)
        steps = _cuts(channels, name, _sheets(seen, group), worth=order(group) if order else None)
        found[name] = ladder(run, teacher, steps, full=len(group), least=least)
        if progress:
            progress(done, len(channels.groups))
    return found


def _cuts(
    channels: Channels,
    name: str,
    sheets: Mapping[Reader, Sheet],
    *,
    worth: NDArray[np.float64] | None,
) -> Iterator[tuple[NDArray[np.bool_], Graph]]:
    """Yield what stays of a group step by step, and the graph of it, its readers refitted."""
    group = channels.groups[name]
    for mask in taken(group, list(sheets.values()), counts(len(group)), worth=worth):
        stands = channels.standing({name: mask})
        values: dict[str, Array] = {}
        for reader, sheet in sheets.items():
            values |= sheet.values(stands[reader.ids])
        yield mask, with_values(pruned(channels, {name: mask}), values)


def _sheets(seen: Mapping[Reader, Moments], group: Group) -> dict[Reader, Sheet]:
    found = {}
    for reader, moments in seen.items():
        with contextlib.suppress(Uneven):
            found[reader] = Sheet(reader, moments, group)
    return found
