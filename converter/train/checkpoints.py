"""The files of a training: its checkpoint, written whole or not at all, its log and its curves."""

from __future__ import annotations

import csv
import io
import json
import math
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from converter.export import write_bytes
from edge.errors import ModelError, SinkError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CHECKPOINT, LOG, CURVES = "checkpoint.npz", "log.csv", "curves.png"
STATE = "state"


@dataclass
class State:
    """What a checkpoint keeps beside the weights."""

    seed: int
    step: int = 0
    best_step: int = 0
    best: float = -math.inf
    waited: int = 0
    rate: float = 1.0
    rows: tuple[dict[str, float], ...] = ()
    sums: dict[str, float] = field(default_factory=dict)
    counted: int = 0

    def means(self) -> dict[str, float]:
        """Return the loss and its parts, over the steps since the last score."""
        return {name: value / self.counted for name, value in self.sums.items()}


def write(
    folder: Path, arrays: Mapping[str, Sequence[NDArray[Any]]], state: Mapping[str, Any]
) -> None:
    """Write lists of arrays by name, and what JSON can hold.

    Raises:
        SinkError: The folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"{folder}: cannot be made: {error.strerror}; choose another") from error
    flat = {
        f"{key}/{place:04d}": value
        for key, found in arrays.items()
        for place, value in enumerate(found)
    }
    whole = io.BytesIO()
    np.savez(whole, allow_pickle=False, **{STATE: np.array(json.dumps(dict(state)))}, **flat)
    write_bytes(whole.getvalue(), folder / CHECKPOINT)


def read(folder: Path) -> tuple[dict[str, list[NDArray[Any]]], dict[str, Any]]:
    """Return what `write` was given.

    Raises:
        ModelError: There is no checkpoint, or it is damaged.
    """
    path = folder / CHECKPOINT
    try:
        with np.load(path, allow_pickle=False) as found:
            state = json.loads(str(found[STATE]))
            arrays: dict[str, list[NDArray[Any]]] = {}
            for name in sorted(name for name in found.files if name != STATE):
                arrays.setdefault(name.partition("/")[0], []).append(found[name])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{path}: expected a checkpoint to go on from, found none that can be read ({error}); "
            "start afresh without --resume"
        ) from error
    return arrays, state


def advice(folder: Path | None) -> str:
    """Return what to do once a training went astray: from where it may go on."""
    if folder is None or not (folder / CHECKPOINT).is_file():
        return "no checkpoint was written yet; start again with a lower --learning-rate"
    return (
        f"the last good checkpoint is step {read(folder)[1]['step']}'s in {folder}: go on from it "
        "with --resume and a lower --learning-rate"
    )


def write_log(folder: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write all rows as CSV, and the curves as a picture."""
    text = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)
    write_bytes(text.getvalue().encode(), folder / LOG)
    write_bytes(_curves(rows), folder / CURVES)


def _curves(rows: Sequence[Mapping[str, float]]) -> bytes:
    """Return a PNG: the losses on a logarithmic axis, the score beside them, over the steps."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - 0.5 s

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    losses = figure.add_subplot()
    steps = [row["step"] for row in rows]
    names = [name for name in rows[-1] if name not in ("step", "score", "learning_rate")]
    for name in names:
        losses.plot(steps, [row.get(name, np.nan) for row in rows], label=name)
    losses.set(xlabel="step", ylabel="loss", yscale="log")
    scores = losses.twinx()
    scores.plot(steps, [row["score"] for row in rows], "k--", label="score")
    scores.set(ylabel="score on the select images")
    figure.legend(loc="outside upper center", ncols=len(names) + 1)  # beside the curves
    found = io.BytesIO()
    figure.savefig(found, format="png", dpi=110)
    return found.getvalue()
