"""A detector of fewer labels: the columns of the others go, with the weights that make them.

What is left gives the very numbers that it gave. Heads of many classes are a good part of a small
net, so that a model for three of them is faster at no loss.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import numpy as np

from converter import export
from converter.graph.reading import read
from converter.graph.writing import write
from converter.prune.channels import channels
from converter.prune.columns import GRIDDED, grids
from converter.prune.cutting import pruned
from converter.quantize.quantization import refuse_quantized
from edge.errors import ConfigError, ModelError
from edge.heads import HEADS
from edge.model.loaded import load_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from converter.prune.channels import Channels, Kept
    from converter.prune.columns import Part
    from edge.model.description import Description
    from edge.model.model_file import ModelFile


def with_labels(file: ModelFile, wanted: Sequence[str]) -> ModelFile:
    """Return a float detector that knows some of its labels only, in its own order.

    Args:
        file: Float, of ours.
        wanted: Labels of its.

    Raises:
        ConfigError: It has no such label.
        ModelError: It is quantised; or the scores of its labels do not stand each for itself, or
            cannot be followed to the weights that make them.
    """
    refuse_quantized(file)
    described = file.description
    _check(described.labels, wanted)
    chosen = np.array([label in wanted for label in described.labels])
    if chosen.all():
        return file
    found = _scores_of(described)
    opened = [part.name for part in found]
    whole = channels(read(file.flatbuffer, file.path), opened=opened)
    graph = pruned(whole, _kept(whole, found, chosen))
    labels = tuple(label for label in described.labels if label in wanted)
    step = f"{len(labels)} of {len(chosen)} labels kept"
    made = export.remade(file, write(graph), step, tools={})
    made = export.sealed(made, made.own_manifest().replace(labels=labels))
    load_model(made)  # its head must fit what comes out
    return made


def _check(labels: Sequence[str], wanted: Sequence[str]) -> None:
    known = [label for label in labels if label]
    for label in wanted:
        if label not in known:
            near = difflib.get_close_matches(label, known)
            raise ConfigError(
                f"expected labels of the model, found {label!r}; "
                f"{'near is' if near else 'it has'} {', '.join(near or known)}"
            )


def _kept(whole: Channels, outputs: Sequence[Part], chosen: NDArray[np.bool_]) -> Kept:
    """Return which channels stay where columns of outputs go.

    Raises:
        ModelError: They cannot be followed to what makes them.
    """
    place = {root: (key, at) for key, group in whole.groups.items()
             for at, root in enumerate(group.ids.tolist())}  # fmt: skip
    kept: dict[str, NDArray[np.bool_]] = {}
    for part in outputs:
        wire = whole.wires.get(part.name)
        ids = [] if wire is None else whole.roots[wire.ids].tolist()
        if not ids or len(ids) % part.width:
            raise _refusal(whole, f"none in {part.name!r}, as behind a softmax")
        for number, root in enumerate(ids):
            label = number % part.width - part.start
            if not 0 <= label < len(chosen) or chosen[label]:
                continue
            if root not in place:
                raise _refusal(whole, f"that something else hangs on those of {part.name!r}")
            key, at = place[root]
            kept.setdefault(key, np.ones(len(whole.groups[key]), bool))[at] = False
    return kept


def _refusal(whole: Channels, found: str) -> ModelError:
    foreign = "".join(f", and {op.kind} for {op.output!r} is not followed" for op in whole.foreign)
    return ModelError(
        "expected scores that can be followed to the weights that make them, found "
        f"{found}{foreign}; leave --classes out"
    )


def _scores_of(described: Description) -> list[Part]:
    """Return where the scores of the labels stand.

    Raises:
        ModelError: The head is none of those in which each score stands for itself.
    """
    found = grids(described)
    if not found or any(grid.scores_are == "softmax" for grid in found):
        known = ", ".join(tag for tag, head in HEADS.items() if head.schema in GRIDDED)
        raise ModelError(
            f"expected a detector whose scores stand each for itself ({known}), found "
            f"{described.head.kind}{' with a softmax' * bool(found)}; leave --classes out"
        )
    return [grid.scores for grid in found]
