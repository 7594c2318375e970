"""The search for what goes: what ever less of each thing costs, what it saves, and the plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from converter.quantize.running import Halt, prepared, tapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.graph.values import Graph
    from converter.prune.channels import Kept
    from converter.prune.stages import Stages
    from edge.model.description import InputTransform

    Array = NDArray[np.float32]

# Of the images: enough for the moments of 4,608 weights, 128 places each; the outputs are looked at
# on few, once for each group and step.
IMAGES, LOOKS = 64, 4
# Of the images, those that nothing is fitted to.
HELD_BACK = 4
# Measured against what was asked for; nearer than that, the next measurement says otherwise again.
NEAR = 0.03
TRIES = 5


@dataclass(frozen=True, slots=True)
class Examples:
    """Plain images, and what a whole graph gives for some.

    Attributes:
        fitted: What the model reads of each that may be fitted to.
        looks: Few of these, looked at once for each step of each ladder.
        tests: Those that nothing is fitted to: they say what was lost.
    """

    fitted: Sequence[Sequence[Array]]
    looks: Teacher
    tests: Teacher


def examples(graph: Graph, images: Sequence[Path], transform: InputTransform) -> Examples:
    """Return images as a graph's model reads them, a quarter held back.

    Raises:
        SourceError: One cannot be read.
    """
    held = len(images) // HELD_BACK
    fitted, tests = (
        prepared(paths[:IMAGES], transform) for paths in (images[held:], images[:held])
    )
    return Examples(fitted, Teacher(graph, fitted[:LOOKS]), Teacher(graph, tests))


class Teacher:
    """What a whole model gives for some images, and how far another is off it.

    Args:
        graph: The whole one.
        inputs: What the model reads of each image.
    """

    def __init__(self, graph: Graph, inputs: Sequence[Sequence[Array]]) -> None:
        self.inputs = inputs
        self._wanted = list(tapped(graph, graph.outputs, inputs))

    def error(self, found: Iterable[list[Array]]) -> float:
        """Return the squared error of each output over its power, summed over the outputs."""
        noise, power = np.zeros((2, len(self._wanted[0])))
        for target, values in zip(self._wanted, found, strict=True):
            noise += [
                np.square(a - b, dtype=np.float64).sum()
                for a, b in zip(target, values, strict=True)
            ]
            power += [np.square(a, dtype=np.float64).sum() for a in target]
        return float((noise / np.maximum(power, np.finfo(np.float64).tiny)).sum())

    def error_of(self, graph: Graph) -> float:
        """Return that of another graph's outputs."""
        return self.error(tapped(graph, graph.outputs, self.inputs))


@dataclass(frozen=True, slots=True, eq=False)
class Ladder:
    """What ever less of one thing alone does, step by step.

    Attributes:
        kept: What stays of it at each step, from all of it on.
        errors: Of the outputs, squared error over power, summed over the outputs; rising.
    """

    kept: tuple[NDArray[np.bool_], ...]
    errors: tuple[float, ...]


def ladder(
    run: Halt,
    teacher: Teacher,
    steps: Iterable[tuple[NDArray[np.bool_], Graph]],
    *,
    full: int,
    least: float = 0.0,
) -> Ladder:
    """Return what ever less of something does to the outputs, until they are as wrong as zeros.

    Args:
        run: Up to where the graphs differ.
        teacher: What the outputs should be.
        steps: What stays, `(full,)`, and the graph of that.
        full: How much there is.
        least: Error of the graph with all of it.
    """
    kept, errors = [np.ones(full, bool)], [least]
    for mask, graph in steps:
        error = teacher.error(run.tapped(graph, graph.outputs))
        if error >= len(graph.outputs):
            break
        kept.append(mask)
        # What was worse with more was noise.
        errors.append(max(errors[-1], error))
    return Ladder(tuple(kept), tuple(errors))


class Priced(Protocol):
    """What is left of a cost once a part of each of several things stays.

    Attributes:
        whole: The cost of all.
    """

    whole: float

    def left(self, ratios: Sequence[float]) -> float:
        """Return it, of the parts in their order."""


def plan(
    ladders: Mapping[str, Ladder], costs: Priced, *, left: float
) -> dict[str, NDArray[np.bool_]]:
    """Return what stays, so that at most this cost is left, or nothing more may go.

    Greedy: of all ladders' next steps, and the steps behind them, the one of the least error for
    what it saves, until enough is saved. Errors are taken to add up.

    Args:
        ladders: Of all that the costs tell, in their order.
        costs: What they save.
        left: In the unit of the costs.
    """
    rows = list(ladders.values())
    steps, ratios = [0] * len(rows), [1.0] * len(rows)
    now = costs.left(ratios)
    while now > left:
        choices = []
        for number, ladder in enumerate(rows):
            for step in range(steps[number] + 1, len(ladder.kept)):
                other = [*ratios]
                other[number] = float(ladder.kept[step].mean())
                saved = now - costs.left(other)
                if saved > 0:
                    worse = ladder.errors[step] - ladder.errors[steps[number]]
                    choices.append((worse / saved, number, step))
        if not choices:
            break
        _, number, step = min(choices)
        steps[number], ratios[number] = step, float(rows[number].kept[step].mean())
        now = costs.left(ratios)
    return {
        name: ladder.kept[step]
        for (name, ladder), step in zip(ladders.items(), steps, strict=True) if step
    }  # fmt: skip


def search(
    ladders: Mapping[str, Ladder],
    costs: Priced,
    *,
    gain: Callable[[Kept], float],
    start: float,
    times: float,
) -> tuple[Kept, float]:
    """Return what stays so that it takes so many times less, and how many that are: the most found.

    Args:
        ladders: As `plan` takes them.
        costs: Likewise; they only tell shares.
        gain: Measures what stays.
        start: That of all.
        times: Wanted.
    """
    wanted = costs.whole / times * start
    tried: list[tuple[Kept, float]] = []
    for _ in range(TRIES):
        kept = plan(ladders, costs, left=wanted)
        tried.append((kept, gain(kept)))
        reached = tried[-1][1]
        ratios = [float(kept[name].mean()) if name in kept else 1.0 for name in ladders]
        if abs(reached / times - 1) < NEAR or costs.left(ratios) > wanted:
            break
        wanted *= reached / times
    enough = [pair for pair in tried if pair[1] > times * (1 - NEAR)]
    if not enough:
        return max(tried, key=lambda pair: pair[1])
    return min(enough, key=lambda pair: pair[1])


def noted(stages: Stages, name: str, make: Callable[[], tuple[Kept, float]]) -> tuple[Kept, float]:
    """Return what a search found before an interruption, or let it search and keep that."""

    def arrays() -> dict[str, NDArray[Any]]:
        kept, gain = make()
        return {**{f"kept {key}": mask for key, mask in kept.items()}, "gain": np.array(gain)}

    found = stages.arrays(name, arrays)
    masks = {key.removeprefix("kept "): np.asarray(mask, bool)
             for key, mask in found.items() if key != "gain"}  # fmt: skip
    return masks, float(found["gain"])
