"""The whole way of a pruned model: what may go, what that costs and saves, the cut, the refit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from converter import export
from converter.graph.reading import read
from converter.graph.writing import write
from converter.prune import latencies
from converter.prune.channels import MULTIPLE
from converter.prune.channels import channels as traced
from converter.prune.cutting import pruned
from converter.prune.healing import healed
from converter.prune.planning import Costs, output_error, plan, sensitivities
from converter.prune.reading import moments, readers
from converter.prune.running import prepared, tapped
from edge.errors import ModelError
from edge.terminal.progress import bar
from edge.terminal.version import versions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from converter.prune.channels import Channels
    from converter.prune.planning import Ladder
    from edge.model.model_file import ModelFile

    Array = NDArray[np.float32]

# Of the images: enough for the moments of 4,608 weights, 128 places each; the outputs are looked at
# on few, once for each group and step.
IMAGES, LOOKS = 64, 4
# Measured against what was asked for; nearer than that, the next measurement says otherwise again.
NEAR = 0.03
TRIES = 4
TOOLS = ("ai-edge-litert", "numpy")


@dataclass(frozen=True, slots=True)
class Pruned:
    """A pruned float model.

    Attributes:
        file: Its manifest says what was done.
        speedup: How many times as fast its int8 model is as the whole one's, measured here.
        rows: Of each group that lost channels: its name, how many stay, how many there were.
        cut_error: Of the outputs, squared error over power, summed over the outputs, on images that
            nothing was fitted to, before the refit.
        error: The same after it.
        foreign: Kinds of the ops that could not be followed, each with what it makes.
    """

    file: ModelFile
    speedup: float
    rows: tuple[tuple[str, int, int], ...]
    cut_error: float
    error: float
    foreign: tuple[tuple[str, str], ...]


def prune(file: ModelFile, images: Sequence[Path], *, speedup: float) -> Pruned:
    """Return the model with fewer channels, so that its int8 model is so many times as fast.

    Args:
        file: Float, of ours.
        images: Two thirds are refitted to, the rest says what was lost.
        speedup: Above 1.

    Raises:
        ModelError: It is no float model, nothing in it may be cut, or so much is out of reach.
        SourceError: An image cannot be read.
    """
    whole = traced(read(file.flatbuffer, file.path))
    if not whole.groups:
        raise ModelError(
            f"{file.path}: expected channels that may go, found none: all that its "
            f"{len(whole.graph.ops)} ops make ends in an output or in an op that is not known here"
        )
    held = max(1, len(images) // 3)
    fitted, tests = (prepared(paths, file.description.input)
                     for paths in (images[held:][:IMAGES], images[:held][:IMAGES]))  # fmt: skip
    ladders = _ladders(whole, fitted)
    with bar("time layers") as progress:
        costs = Costs(whole, latencies.op_times_us(file, whole.graph, progress=progress))
    kept, reached = _search(file, whole, ladders, costs=costs, speedup=speedup)
    cut = pruned(whole, kept)
    with bar("refit") as progress:
        made = healed(whole, kept, cut, inputs=fitted, progress=progress)
    wanted = list(tapped(whole.graph, whole.graph.outputs, tests))
    errors = [output_error(graph, wanted, tests) for graph in (cut, made)]
    rows = tuple((name, int(mask.sum()), len(mask)) for name, mask in kept.items())
    step = (
        f"pruned by structure to {reached:.2f} x the speed, {sum(row[1] for row in rows)} of "
        f"{sum(row[2] for row in rows)} channels of {len(rows)} groups left; refitted by least "
        f"squares on {len(fitted)} images"
    )
    done = export.remade(file, write(made), step, tools=versions(TOOLS))
    foreign = tuple((op.kind, op.output) for op in whole.foreign)
    return Pruned(done, reached, rows, errors[0], errors[1], foreign)


def _ladders(whole: Channels, inputs: Sequence[Array]) -> dict[str, Ladder]:
    read = readers(whole)
    with bar("moments") as progress:
        seen = moments(whole, read, inputs, progress=progress)
    with bar("sensitivity") as progress:
        return sensitivities(whole, read, seen, inputs[:LOOKS], progress=progress)


def _search(
    file: ModelFile,
    whole: Channels,
    ladders: Mapping[str, Ladder],
    *,
    costs: Costs,
    speedup: float,
) -> tuple[dict[str, NDArray[np.bool_]], float]:
    """Return what stays and how fast that is, measured: layers alone only tell their shares."""
    least = costs.left_us({name: ladder.kept[-1] for name, ladder in ladders.items()})
    left_us = costs.whole_us / speedup
    tried: list[tuple[dict[str, NDArray[np.bool_]], float]] = []
    for _ in range(TRIES):
        kept = plan(ladders, costs, left_us=max(least, left_us))
        (reached,) = latencies.speedups(file, whole.graph, [pruned(whole, kept)])
        tried.append((kept, reached))
        if abs(reached / speedup - 1) < NEAR or left_us < least:
            break
        left_us *= reached / speedup
    found = min(tried, key=lambda pair: abs(pair[1] - speedup))
    if found[1] < speedup * (1 - 2 * NEAR):
        raise ModelError(
            f"{file.path}: expected {speedup:g} x the speed to be in reach, found {found[1]:.2f} x "
            f"where no group may lose more (at least {MULTIPLE} channels stay, and all that an "
            "output shows); ask for less"
        )
    return found
