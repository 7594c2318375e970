"""The whole way of a pruned model: what may go, what that costs and saves, the cut, the refit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from converter import export
from converter.graph.edits import with_values
from converter.graph.reading import read
from converter.graph.writing import write
from converter.prune.channels import channels as traced
from converter.prune.cutting import pruned
from converter.prune.healing import healed
from converter.prune.planning import Costs, counts, halves, sensitivities
from converter.prune.reading import moments, readers
from converter.prune.searching import NEAR, examples, noted, search
from converter.prune.stages import NOT_KEPT
from converter.quantize.quantization import refuse_quantized
from edge.errors import ModelError, SourceError
from edge.terminal.progress import bar
from edge.terminal.version import versions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.graph.values import Graph
    from converter.prune.channels import Channels, Kept
    from converter.prune.criteria import Criterion
    from converter.prune.measures import Measure
    from converter.prune.searching import Ladder
    from converter.prune.stages import Arrays, Stages
    from edge.model.model_file import ModelFile

LEAST_IMAGES = 16
# A cut, a refit, and a new look at what the next cut costs. More take that much longer and gained
# nothing: on yolov3-tiny at 0.76 of the multiplications the error is 0.176 in one, 0.184 in two.
ROUNDS = 1
TOOLS = ("ai-edge-litert", "numpy")


@dataclass(frozen=True, slots=True)
class Pruned:
    """A pruned float model.

    Attributes:
        file: Its manifest says what was done.
        step: That.
        gain: How many times less its int8 model takes than the whole one's.
        what: That, in words.
        rows: Of each group that lost channels: its name, how many stay, how many there were.
        cut_error: Of the outputs, squared error over power, summed over the outputs, on images that
            nothing was fitted to, without any refit.
        error: The same after it.
        foreign: Kinds of the ops that could not be followed, each with what it makes.
    """

    file: ModelFile
    step: str
    gain: float
    what: str
    rows: tuple[tuple[str, int, int], ...] = ()
    cut_error: float = 0.0
    error: float = 0.0
    foreign: tuple[tuple[str, str], ...] = ()


class Pruner:
    """A float model, and what cutting each group of its channels costs and saves.

    Args:
        file: Float, of ours.
        images: Plain ones; a quarter of them is held back to say what was lost.
        criterion: Of a graph, which channels of a group go first; `None` for those that the
            others can stand in for.
        stages: What an interrupted run did already.
        name: Of this model among its stages.

    Raises:
        ModelError: It is no float model, or nothing in it may be cut.
        SourceError: There are too few images, or one cannot be read.
    """

    def __init__(
        self,
        file: ModelFile,
        images: Sequence[Path],
        *,
        criterion: Criterion | None = None,
        stages: Stages = NOT_KEPT,
        name: str = "",
    ) -> None:
        refuse_quantized(file)
        check_count(images)
        self._file, self._whole = file, _traced(file)
        self._criterion, self._stages, self._name = criterion, stages, name
        self._examples = examples(self._whole.graph, images, file.description.input)
        self._first: Mapping[str, Ladder] = {}

    def prune(
        self, measure: Measure, times: float, *, rounds: int = ROUNDS, start: float = 1.0
    ) -> Pruned:
        """Return the model with fewer channels, so that it takes so many times less.

        Args:
            measure: Of what.
            times: Above 1.
            rounds: Cuts, each refitted and followed by a new look.
            start: How many times less it takes as it is than what is measured against.

        Raises:
            ModelError: That is out of reach.
        """
        whole, graph = self._whole, self._whole.graph
        kept: dict[str, NDArray[np.bool_]] = {}
        gain = start
        for number in range(1, rounds + 1):
            part = gain * max(times / gain, 1.0) ** (1 / (rounds - number + 1))
            now = traced(graph) if number > 1 else whole
            name = f"{self._name}{measure.what.split()[-1]}-{times:g}-of-{rounds}-{number}"
            is_last = number == rounds
            found, gain = self._cut(now, measure, part, name=name, must=is_last)
            kept = {**kept, **_merged(whole, kept, found)}
            graph = self._refitted(kept, pruned(now, found), name=name)
        rows = tuple((name, int(mask.sum()), len(mask)) for name, mask in kept.items())
        step = (
            f"pruned: {gain:.2f} {measure.what}, {sum(row[1] for row in rows)} of "
            f"{sum(row[2] for row in rows)} channels left where some went; the rest refitted by "
            f"least squares on {len(self._examples.fitted)} images"
        )
        return Pruned(
            file=export.remade(self._file, write(graph), step, tools=versions(TOOLS)),
            step=step,
            gain=gain,
            what=measure.what,
            rows=rows,
            cut_error=self._examples.tests.error_of(pruned(whole, kept)),
            error=self._examples.tests.error_of(graph),
            foreign=tuple((op.kind, op.output) for op in whole.foreign),
        )

    def _refitted(self, kept: Kept, cut: Graph, *, name: str) -> Graph:
        """Return a cut graph refitted to what the whole one gave."""

        def make() -> Arrays:
            with bar("refit", unit="layers") as progress:
                made = healed(
                    self._whole, kept, cut, inputs=self._examples.fitted, progress=progress
                )
            return changed_values(cut, made)

        return with_values(cut, self._stages.arrays(f"{name}-refit", make))

    def _ladders(self, now: Channels) -> Mapping[str, Ladder]:
        """Return what cutting each group of a graph alone does."""
        if now is self._whole and self._first:
            return self._first
        with bar("moments") as progress:
            seen = moments(now, readers(now), self._examples.fitted, progress=progress)
        order = self._criterion(now) if self._criterion else None
        with bar("sensitivity", unit="groups") as progress:
            found = sensitivities(
                now, seen, teacher=self._examples.looks, order=order, progress=progress
            )
        if now is self._whole:
            self._first = found
        return found

    def _cut(
        self, now: Channels, measure: Measure, times: float, *, name: str, must: bool
    ) -> tuple[Kept, float]:
        """Return what of a graph stays, and how many times less that takes than the whole one.

        Raises:
            ModelError: It `must` be so many times less, and cannot.
        """

        def make() -> tuple[Kept, float]:
            ladders = self._ladders(now)
            cut = pruned(now, halves(now))
            with bar("time ops") as progress:
                costs = Costs(
                    now, *(measure.of_ops(graph, progress=progress) for graph in (now.graph, cut))
                )
            kept, gain = search(
                ladders, costs, start=self._gain(measure, now.graph), times=times,
                gain=lambda kept: self._gain(measure, pruned(now, kept)),
            )  # fmt: skip
            if must and gain <= times * (1 - NEAR):
                raise ModelError(
                    f"{self._file.path}: expected {times:g} {measure.what} to be in reach, found "
                    f"{gain:.2f} at most: {self._limits(ladders)}; ask for less"
                )
            return kept, gain

        return noted(self._stages, f"{name}-cut", make)

    def _limits(self, ladders: Mapping[str, Ladder]) -> str:
        whole = self._whole
        left = sum(int(ladder.kept[-1].sum()) for ladder in ladders.values())
        foreign = "".join(
            f", and what {op.kind} reads for {op.output!r} is not followed" for op in whole.foreign
        )
        return (
            f"{left} of {sum(map(len, whole.groups.values()))} channels must stay, as each group "
            "keeps a quarter, 8 at least, and what the outputs cannot do without"
            f"{foreign}"
        )

    def _gain(self, measure: Measure, graph: Graph) -> float:
        return measure.gain(replace(self._file, flatbuffer=write(graph)))


def check_count(images: Sequence[Path], *, use: str = "to refit to") -> None:
    """Refuse too few images before the work begins.

    Raises:
        SourceError: There are.
    """
    if len(images) < LEAST_IMAGES:
        raise SourceError(
            f"expected {LEAST_IMAGES} images or more {use}, found {len(images)} besides those held "
            "back; add some"
        )


def _merged(whole: Channels, before: Kept, now: Kept) -> Kept:
    """Return which channels of the whole stay of a graph that was cut before and is cut again."""
    made = {}
    for name, mask in now.items():
        made[name] = before.get(name, np.ones(len(whole.groups[name]), bool)).copy()
        made[name][made[name]] = mask
    return made


def changed_values(before: Graph, after: Graph) -> dict[str, NDArray[Any]]:
    """Return the constants of a graph that another one of the same tensors has otherwise."""
    return {name: tensor.value for name, tensor in after.tensors.items()
            if tensor.value is not None and tensor.value is not before.value(name)}  # fmt: skip


def _traced(file: ModelFile) -> Channels:
    whole = traced(read(file.flatbuffer, file.path))
    if not any(counts(len(group)) for group in whole.groups.values()):
        ends = "".join(f", or in {op.kind} for {op.output!r}" for op in whole.foreign)
        raise ModelError(
            f"{file.path}: expected channels that may go, found none: all that its "
            f"{len(whole.graph.ops)} ops make is too narrow or ends in an output{ends}; "
            "leave --speedup and --macs out of its conversion"
        )
    return whole
