"""The channels of a graph that may be cut, in groups that are cut together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from converter.graph.edits import free_name, with_ops
from converter.graph.folding import folded
from converter.prune.rules import trace
from converter.prune.tracing import Tracer
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from converter.graph.values import Graph, Op
    from converter.prune.tracing import Ids, Use, Wire

    # Of a group's name, which of its channels stay, `(N,)` bool.
    Kept = Mapping[str, NDArray[np.bool_]]

# XNNPACK's int8 kernels work on eight channels at once: kept counts that are multiples of it take
# 4 to 10 % less time at 30 % fewer channels.
MULTIPLE = 8
# Its int8 convolutions make 16 channels at once with AVX-512 and on the Cortex-A53, A76 and A78AE
# (Pi Zero 2, 3 and 5, Jetson Orin), 8 on the A72 and A57 (Pi 4, Jetson Nano): elsewhere 104
# channels take as long as 112. Of fewer than 64 channels such steps would be too coarse.
# Source: `gemm-config.c` of XNNPACK.
TILE, WIDE = 16, 64


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Channels that some ops make together; each of them stands or falls in all of them.

    Attributes:
        name: Of what the first of these ops makes.
        ids: `(N,)`, one of each channel.
        makers: The ops, in their order.
    """

    name: str
    ids: Ids
    makers: tuple[Op, ...]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Channels:
    """What of a graph may be cut.

    Attributes:
        graph: The whole; no two ops share a constant that goes with channels.
        wires: The channels of each computed tensor that has some.
        uses: Constants that go with channels.
        roots: Of each id, the one that stands for all that go with it.
        groups: By their names, in the order of the ops.
        foreign: Ops that read channels and are not known: all that they read stands.
    """

    graph: Graph
    wires: Mapping[str, Wire]
    uses: tuple[Use, ...]
    roots: Ids
    groups: Mapping[str, Group]
    foreign: tuple[Op, ...]

    def standing(self, kept: Kept) -> NDArray[np.bool_]:
        """Return of each id whether it stands; groups that are not named do.

        Raises:
            ValueError: There is no such group, or it has another number of channels; or none of
                its channels is left.
        """
        stands = np.ones(len(self.roots), bool)
        for name, mask in kept.items():
            group = self.groups.get(name)
            if group is None or mask.shape != group.ids.shape:
                size = "no such group" if group is None else f"{len(group)} channels"
                raise ValueError(f"group {name!r}: expected {mask.shape} channels, found {size}")
            if not mask.any():
                raise ValueError(f"group {name!r}: expected a channel that stays, found none")
            stands[group.ids] = mask
        return stands[self.roots]


def multiple(channels: int) -> int:
    """Return of what number the kept count of a group of so many channels is a multiple."""
    return TILE if channels >= WIDE else MULTIPLE


def channels(graph: Graph, *, opened: Collection[str] = ()) -> Channels:
    """Follow the channels of a static float graph from the ops that make them to those that read.

    Args:
        graph: It.
        opened: Outputs whose channels may go; those of the others stand.

    Raises:
        ModelError: It computes with integers, or leaves a size open.
    """
    _refuse(graph)
    graph = _unshared(folded(graph))
    tracer = Tracer(graph)
    for op in graph.ops:
        trace(tracer, op)
    for name in graph.outputs:
        if name in tracer.wires and name not in opened:
            tracer.protect(tracer.wires[name].ids)
    roots = tracer.roots()
    return Channels(
        graph, tracer.wires, tuple(tracer.uses), roots, _groups(tracer, roots),
        tuple(tracer.foreign),
    )  # fmt: skip


def _groups(tracer: Tracer, roots: Ids) -> dict[str, Group]:
    """Return channels that the same ops make, in groups."""
    stuck = set(tracer.protected().tolist())
    makers: dict[int, list[Op]] = {}
    for op, ids in tracer.makers.items():
        for root in dict.fromkeys(roots[ids].tolist()):
            if root not in stuck:
                makers.setdefault(root, []).append(op)
    rows: dict[tuple[Op, ...], list[int]] = {}
    for root, ops in makers.items():
        rows.setdefault(tuple(ops), []).append(root)
    names: Counter[str] = Counter()
    found = {}
    for own, members in rows.items():
        name = own[0].output
        names[name] += 1
        name += f" {names[name]}" if names[name] > 1 else ""
        found[name] = Group(name, np.array(members, np.intp), own)
    return found


def _unshared(graph: Graph) -> Graph:
    """Return the graph whose ops have constants of their own."""
    changed: dict[Op, tuple[Op]] = {}
    tensors = dict(graph.tensors)
    seen = set()
    for op in graph.ops:
        inputs = list(op.inputs)
        for place, name in enumerate(inputs):
            if name in seen and graph.is_constant(name):
                inputs[place] = own = free_name(replace(graph, tensors=tensors), name)
                tensors[own] = replace(graph.tensors[name], name=own)
            seen.add(name)
        changed[op] = (replace(op, inputs=tuple(inputs)),)
    return with_ops(graph, changed, tensors=tensors.values())


def _refuse(graph: Graph) -> None:
    for op in graph.ops:
        for name in op.outputs:
            tensor = graph.tensors[name]
            if tensor.quantisation is not None:
                raise ModelError(
                    f"expected a float model to prune, found {name!r} of quantised {tensor.dtype}; "
                    "give the model that it was made of"
                )
