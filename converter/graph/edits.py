"""Changes of a `Graph`; each gives another graph and leaves the one it was given as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from converter.graph.values import Graph, Op, Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray


def tidied(graph: Graph) -> Graph:
    """Return the graph without the ops that no output hangs on, and without their tensors."""
    wanted = set(graph.outputs)
    kept: list[Op] = []
    for op in reversed(graph.ops):
        if not wanted.isdisjoint(op.outputs):
            kept.append(op)
            wanted.update(op.inputs)
    names = {*graph.inputs, *wanted, *(name for op in kept for name in op.outputs)}
    tensors = {name: tensor for name, tensor in graph.tensors.items() if name in names}
    return Graph(tensors, tuple(reversed(kept)), graph.inputs, graph.outputs)


def cut(
    graph: Graph, outputs: Mapping[str, str], *, inputs: Mapping[str, str] | None = None
) -> Graph:
    """Return the part between two rows of tensors, which bear the names that are given.

    Args:
        graph: The whole.
        outputs: New name to tensor of the graph, in order.
        inputs: Likewise; `None` keeps the graph's own and their names.

    Raises:
        ValueError: An output hangs on an input that was cut off.
    """
    starts = inputs if inputs is not None else {name: name for name in graph.inputs}
    made_before = set(starts.values())
    ops = tuple(op for op in graph.ops if made_before.isdisjoint(op.outputs))
    part = tidied(Graph(graph.tensors, ops, tuple(starts.values()), tuple(outputs.values())))
    loose = [name for name in graph.inputs if name in part.readers and name not in part.inputs]
    if loose:
        raise ValueError(f"the outputs {list(outputs)} hang on {loose}, which is cut off")
    return renamed(part, {old: new for new, old in {**starts, **outputs}.items()})


def renamed(graph: Graph, names: Mapping[str, str]) -> Graph:
    """Return the graph with tensors of other names, old to new.

    A tensor that bears one of the new names already gets `_inside` behind its own.
    """
    moved = {old: new for old, new in names.items() if old != new}
    taken = set(moved.values())
    inside = {name: free_name(graph, f"{name}_inside") for name in graph.tensors
              if name in taken and name not in moved}  # fmt: skip
    table = {**inside, **moved}

    def spelt(found: Iterable[str]) -> tuple[str, ...]:
        return tuple(table.get(name, name) for name in found)

    tensors = {
        table.get(name, name): replace(tensor, name=table.get(name, name))
        for name, tensor in graph.tensors.items()
    }
    ops = tuple(replace(op, inputs=spelt(op.inputs), outputs=spelt(op.outputs)) for op in graph.ops)
    return Graph(tensors, ops, spelt(graph.inputs), spelt(graph.outputs))


def with_values(graph: Graph, values: Mapping[str, NDArray[Any]]) -> Graph:
    """Return the graph whose constants have these values, of their own shape."""
    tensors = dict(graph.tensors)
    for name, value in values.items():
        tensors[name] = replace(tensors[name], value=value, shape=value.shape)
    return replace(graph, tensors=tensors)


def with_ops(
    graph: Graph, changed: Mapping[Op, Iterable[Op]], *, tensors: Iterable[Tensor] = ()
) -> Graph:
    """Return the graph with other ops in the place of some, and what these read and make anew.

    Args:
        graph: The whole.
        changed: An op of the graph to what stands there instead; nothing leaves it out.
        tensors: New ones, or of the name of one that they replace.
    """
    ops = tuple(new for op in graph.ops for new in changed.get(op, (op,)))
    return replace(
        graph, ops=ops, tensors={**graph.tensors, **{tensor.name: tensor for tensor in tensors}}
    )


def with_reads(graph: Graph, names: Mapping[str, str]) -> Graph:
    """Return the graph whose ops and outputs read other tensors, old to new; dead ops fall away."""
    ops = tuple(
        replace(op, inputs=tuple(names.get(name, name) for name in op.inputs)) for op in graph.ops
    )
    outputs = tuple(names.get(name, name) for name in graph.outputs)
    return tidied(replace(graph, ops=ops, outputs=outputs))


def insert_after(
    graph: Graph, name: str, ops: Sequence[Op], *, tensors: Iterable[Tensor] = ()
) -> Graph:
    """Return the graph whose readers of a computed tensor read what these ops make of it.

    Args:
        graph: The whole; where the tensor is its output, what is made of it becomes that.
        name: Of the tensor, which an op makes.
        ops: One behind the other, the first of which reads it.
        tensors: What they make and read anew.
    """
    made = ops[-1].output
    changed: dict[Op, Iterable[Op]] = {
        op: (replace(op, inputs=tuple(made if read == name else read for read in op.inputs)),)
        for op in graph.readers.get(name, ())
    }
    producer = graph.producers[name]
    found = with_ops(graph, {**changed, producer: (producer, *ops)}, tensors=tensors)
    return replace(
        found, outputs=tuple(made if output == name else output for output in found.outputs)
    )


def free_name(graph: Graph, name: str) -> str:
    """Return a name that no tensor bears: this one, or it with a number behind."""
    number, found = 1, name
    while found in graph.tensors:
        number += 1
        found = f"{name}_{number}"
    return found
