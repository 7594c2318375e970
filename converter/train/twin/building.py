"""A float graph as a trainable Keras model, and its weights back by the names of their tensors.

Keras is written for TensorFlow, JAX and torch; which one trains is the `KERAS_BACKEND` of the
environment, TensorFlow where it says nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from converter.graph.folding import folded
from converter.graph.fusing import WEIGHTED
from converter.train.twin.layers import OpLayer, WeightedLayer
from converter.train.twin.ops import ACTIVATIONS, OPS
from converter.train.twin.rounding import (
    MIXING,
    SAME_SCALE,
    Rounder,
    rounders,
    with_rounded_constants,
)
from converter.train.twin.weighted_ops import LINEAR, Step
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from calibration.ranges import Range
    from converter.graph.values import Graph, Op
    from converter.train.twin.statistics import Moments

    Array = NDArray[np.float32]

SLOPES = 1  # place of PRELU's


@dataclass(frozen=True, eq=False)
class Twin:
    """A graph and the Keras model that computes the same.

    Attributes:
        graph: What the weights belong to.
        model: One input tensor, a dictionary where there are more; a dictionary of outputs, by the
            names of the graph's. Any batch.
        tensors: Keras' tensor of each that the graph computes, by its name.
        layers: Of each op, by the name of its first output.
        rounders: Of each tensor, where it rounds as int8 does.
    """

    graph: Graph
    model: keras.Model
    tensors: Mapping[str, Any]
    layers: Mapping[str, OpLayer]
    rounders: Mapping[str, Rounder]

    def weights(self) -> dict[str, Array]:
        """Return the constants that train, or could, by tensor name; the caller's.

        Batch normalisations are folded. `converter.graph.edits.with_values` writes them.
        """
        found = {}
        for layer in self.layers.values():
            if isinstance(layer, WeightedLayer):
                found.update(layer.folded())
            elif layer.step.op.kind == "PRELU":
                (slopes,) = layer.held
                found[layer.step.op.inputs[SLOPES]] = np.array(keras.ops.convert_to_numpy(slopes))
        return found

    def ranges(self) -> dict[str, Range]:
        """Return the ranges as they are now, by tensor name."""
        return {name: rounder.range() for name, rounder in self.rounders.items()}

    def tapped(self, names: Sequence[str]) -> keras.Model:
        """Return a model of the same weights that gives these tensors, by their names."""
        return keras.Model(self.model.input, {name: self.tensors[name] for name in names})


def build(
    graph: Graph,
    *,
    statistics: Mapping[str, Moments] | None = None,
    trainable: Callable[[str], bool] = bool,
    is_frozen: bool = False,
    ranges: Mapping[str, Range] | None = None,
) -> Twin:
    """Return the twin of a float graph; it gives what the graph gives, within 1e-4.

    Args:
        graph: Static and float; constants that ops compute of constants are folded first.
        statistics: Of ops with weights, by their outputs, what they make: each of these that shares
            no constant gets a batch normalisation in the place of its bias.
        trainable: Tells of a constant's name whether it trains; any name does by itself.
        is_frozen: The normalisations keep the statistics, also in training: what trains is what
            comes back, as few images of another kind than these would not let it be.
        ranges: Of its inputs and of all that it computes: the twin then rounds as int8 does, and
            ranges train as well.

    Raises:
        ModelError: It has an op that Keras is not taught, which is named.
    """
    graph = folded(graph)
    refuse_unknown(graph)
    uses = Counter(name for op in graph.ops for name in op.inputs)
    variables = _variables(graph, trainable)
    tensors: dict[str, Any] = {
        name: keras.Input(graph.shape(name)[1:], name=_plain(name)) for name in graph.inputs
    }
    inputs, layers = dict(tensors), {}
    rounding = rounders(graph, ranges) if ranges else {}
    tensors = {name: rounding[name](one) if rounding else one for name, one in tensors.items()}
    read = with_rounded_constants(graph) if ranges else graph
    for number, op in enumerate(graph.ops):
        step, name = Step(op, read), f"op{number}_{_plain(op.output)}"
        if op.kind in LINEAR:
            moments = (statistics or {}).get(op.output)
            is_alone = all(uses[one] == 1 and graph.is_constant(one) for one in _constants(op))
            layer = WeightedLayer(
                name, step, variables, moments=moments if is_alone else None, is_frozen=is_frozen,
                is_rounded=bool(ranges),
            )  # fmt: skip
        else:
            layer = OpLayer(name, step, variables)
        made = layer(*(tensors[one] for one in op.inputs if one in tensors))
        made = made if len(op.outputs) > 1 else [made]
        for output, tensor in zip(op.outputs, made, strict=True):
            is_on_grid = op.kind in SAME_SCALE and op.kind not in MIXING
            rounder = None if is_on_grid else rounding.get(output)
            tensors[output] = rounder(tensor) if rounder else tensor
        layers[op.output] = layer
    given = inputs if len(inputs) > 1 else next(iter(inputs.values()))
    model = keras.Model(given, {name: tensors[name] for name in graph.outputs})
    return Twin(graph, model, tensors, layers, rounding)


def _constants(op: Op) -> tuple[str, ...]:
    """Return the names of an op's weights and bias; an absent bias is an empty one."""
    weights_at, bias_at, _ = WEIGHTED[op.kind]
    return op.inputs[weights_at], (*op.inputs, "", "")[bias_at]


def _variables(graph: Graph, trainable: Callable[[str], bool]) -> dict[str, Any]:
    """Return a variable for each constant that can train; ops that share it share it here."""
    names = []
    for op in graph.ops:
        if op.kind in LINEAR:
            names += [name for name in _constants(op) if name and graph.is_constant(name)]
        elif op.kind == "PRELU" and graph.is_constant(op.inputs[SLOPES]):
            names.append(op.inputs[SLOPES])
    return {
        name: keras.Variable(
            np.array(graph.value(name), np.float32), trainable=trainable(name), name=_plain(name)
        )
        for name in dict.fromkeys(names)
    }


def refuse_unknown(graph: Graph) -> None:
    """Refuse what `build` would, before any work; constants of the graph are folded.

    Raises:
        ModelError: As `build`.
    """
    for op in graph.ops:
        known = op.kind in OPS or (op.kind in LINEAR and graph.is_constant(_constants(op)[0]))
        if not known or op.activation not in ACTIVATIONS:
            what = op.kind if op.activation in ACTIVATIONS else f"{op.kind} with {op.activation}"
            raise ModelError(
                f"expected ops that training knows, found {what} for {op.output!r}; it knows "
                f"{', '.join(sorted([*LINEAR, *OPS]))}"
            )
        if set(graph.dtypes(op)) - {"float32", "int32", "int64"} or any(
            graph.tensors[name].quantisation for name in op.outputs
        ):
            raise ModelError(
                f"expected a float32 model to train, found {'/'.join(graph.dtypes(op))} at "
                f"{op.output!r}; give the float model that it was made of"
            )


def _plain(name: str) -> str:
    """Return a name as Keras and TensorFlow take it."""
    return re.sub(r"[^A-Za-z0-9_.]", "_", name)
