"""The whole way of a pruned model: what may go, what that costs and saves, the cut, the refit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from converter import export
from converter.graph.reading import read
from converter.graph.writing import write
from converter.prune.channels import channels as traced
from converter.prune.cutting import pruned
from converter.prune.healing import healed
from converter.prune.measures import Macs, Times
from converter.prune.planning import Costs, counts, halves, output_error, plan, sensitivities
from converter.prune.reading import moments, readers
from converter.quantize.quantization import refuse_quantized
from converter.quantize.running import prepared, tapped
from edge.errors import ModelError, SourceError
from edge.terminal.progress import bar
from edge.terminal.version import versions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from converter.graph.values import Graph
    from converter.prune.channels import Channels, Kept
    from converter.prune.measures import Measure
    from edge.model.model_file import ModelFile

# Of the images: enough for the moments of 4,608 weights, 128 places each; the outputs are looked at
# on few, once for each group and step.
IMAGES, LOOKS = 64, 4
LEAST_IMAGES = 16
# Of the images, those that nothing is fitted to: they say what was lost.
HELD_BACK = 4
# Measured against what was asked for; nearer than that, the next measurement says otherwise again.
NEAR = 0.03
TRIES = 5
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
            nothing was fitted to, before the refit.
        error: The same after it.
        foreign: Kinds of the ops that could not be followed, each with what it makes.
    """

    file: ModelFile
    step: str
    gain: float
    what: str
    rows: tuple[tuple[str, int, int], ...]
    cut_error: float
    error: float
    foreign: tuple[tuple[str, str], ...]


class Pruner:
    """A float model, and what cutting each group of its channels costs and saves.

    Args:
        file: Float, of ours.
        images: Plain ones; a quarter of them is held back to say what was lost.

    Raises:
        ModelError: It is no float model, or nothing in it may be cut.
        SourceError: There are too few images, or one cannot be read.
    """

    def __init__(self, file: ModelFile, images: Sequence[Path]) -> None:
        refuse_quantized(file)
        if len(images) < LEAST_IMAGES:
            raise SourceError(
                f"expected {LEAST_IMAGES} images or more to refit to, found {len(images)}; add some"
            )
        self._file, self._whole = file, _traced(file)
        held = len(images) // HELD_BACK
        self._fitted, self._tests = (
            prepared(paths[:IMAGES], file.description.input)
            for paths in (images[held:], images[:held])
        )
        found = readers(self._whole)
        with bar("moments") as progress:
            seen = moments(self._whole, found, self._fitted, progress=progress)
        with bar("sensitivity", unit="groups") as progress:
            self._ladders = sensitivities(
                self._whole, found, seen, inputs=self._fitted[:LOOKS], progress=progress
            )

    def prune(self, times: float, *, by_macs: bool = False) -> Pruned:
        """Return the model with fewer channels, so that it takes so many times less.

        Args:
            times: Above 1.
            by_macs: Whether multiplications are to become fewer, and not the time.

        Raises:
            ModelError: That is out of reach.
        """
        whole = self._whole
        measure: Measure = (
            Macs(whole.graph) if by_macs else Times(self._file, whole.graph, self._fitted[:LOOKS])
        )
        kept, gain = self._search(measure, times)
        cut = pruned(whole, kept)
        with bar("refit", unit="layers") as progress:
            made = healed(whole, kept, cut, inputs=self._fitted, progress=progress)
        errors = self._errors(cut, made)
        rows = tuple((name, int(mask.sum()), len(mask)) for name, mask in kept.items())
        step = (
            f"pruned: {gain:.2f} {measure.what}, {sum(row[1] for row in rows)} of "
            f"{sum(row[2] for row in rows)} channels left where some went; the rest refitted by "
            f"least squares on {len(self._fitted)} images"
        )
        return Pruned(
            file=export.remade(self._file, write(made), step, tools=versions(TOOLS)),
            step=step,
            gain=gain,
            what=measure.what,
            rows=rows,
            cut_error=errors[0],
            error=errors[1],
            foreign=tuple((op.kind, op.output) for op in whole.foreign),
        )

    def _errors(self, *graphs: Graph) -> list[float]:
        whole = self._whole.graph
        wanted = list(tapped(whole, whole.outputs, self._tests))
        return [output_error(graph, wanted, self._tests) for graph in graphs]

    def _search(self, measure: Measure, times: float) -> tuple[Kept, float]:
        """Return what stays, and how many times less that takes: ops alone only tell shares."""
        cut = pruned(self._whole, halves(self._whole))
        with bar("time ops") as progress:
            found = [measure.of_ops(graph, progress=progress) for graph in (self._whole.graph, cut)]
        costs = Costs(self._whole, *found)
        wanted = costs.whole / times
        tried: list[tuple[Kept, float]] = []
        for _ in range(TRIES):
            kept = plan(self._ladders, costs, left=wanted)
            tried.append((kept, measure.gain(pruned(self._whole, kept))))
            reached = tried[-1][1]
            ratios = [float(kept[name].mean()) if name in kept else 1.0 for name in self._ladders]
            if abs(reached / times - 1) < NEAR or costs.left(ratios) > wanted:
                break
            wanted *= reached / times
        enough = [pair for pair in tried if pair[1] > times * (1 - NEAR)]
        if not enough:
            raise ModelError(
                f"{self._file.path}: expected {times:g} {measure.what} to be in reach, found "
                f"{max(gain for _, gain in tried):.2f} at most: {self._limits()}; ask for less"
            )
        return min(enough, key=lambda pair: pair[1])

    def _limits(self) -> str:
        rows = self._ladders.values()
        left = sum(int(ladder.kept[-1].sum()) for ladder in rows)
        foreign = "".join(
            f", and what {op.kind} reads for {op.output!r} is not followed"
            for op in self._whole.foreign
        )
        return (
            f"{left} of {sum(len(ladder.kept[0]) for ladder in rows)} channels must stay, as each "
            f"group keeps a quarter, 8 at least, and what the outputs cannot do without{foreign}"
        )


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
