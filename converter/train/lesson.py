"""A pruned model in Keras, its teacher, and what both give for plain images.

Source: Hinton et al. 2015, "Distilling the Knowledge in a Neural Network"; the states inside, each
through a linear map of its own, after Romero et al. 2015, "FitNets: Hints for Thin Deep Nets",
section 2.2. The map starts where least squares has it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from converter.graph.edits import with_values
from converter.graph.reading import read
from converter.quantize.running import prepared
from converter.train.data.augment import Changes
from converter.train.data.batches import Batches
from converter.train.data.labelled import Sample
from converter.train.imitation import parts, relative_error
from converter.train.loop import IMAGE, Plan, fit
from converter.train.twin.building import build
from converter.train.twin.statistics import statistics
from edge.terminal.progress import bar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from calibration.ranges import Range
    from converter.graph.values import Graph
    from converter.train.loop import Batch
    from edge.model.model_file import ModelFile

    Array = NDArray[np.float32]

BATCH = 8
# Images for the statistics of what each layer makes, and for the maps between states.
SAMPLE = 16
# States, at the most: one for each size of picture inside, from the coarsest on.
STATES, LEAST_CELLS = 4, 16
# Of the maps' least squares, of the mean power.
RIDGE = 1e-3
TIMED_STEPS, LEAST_STEP_S = 6, 0.01
STATE, TEACHER = "state:", "teacher:"


class Lesson:
    """A pruned model in Keras, its teacher, and the images that both look at.

    Args:
        whole: The teacher.
        graph: The pupil.
        images: Plain ones.
        seed: Of the draws.
        ranges: Of the pupil's tensors: it learns to be rounded, without states inside.
    """

    def __init__(
        self,
        whole: ModelFile,
        graph: Graph,
        images: Sequence[Path],
        *,
        seed: int,
        ranges: Mapping[str, Range] | None = None,
    ) -> None:
        keras.utils.set_random_seed(seed)
        self.seed, self._described = seed, whole.description
        samples = [Sample(path) for path in images]
        self._images = Batches(
            samples, self._described.input, lambda _: {}, changes=Changes(), batch=BATCH, seed=seed
        )
        taught = read(whole.flatbuffer, whole.path)
        self._states = [] if ranges else _states(taught, graph)
        teacher = build(taught, trainable=lambda _: False)
        self._outputs = tuple(teacher.graph.outputs)
        self._teacher = teacher.tapped([*self._outputs, *self._states])
        sample = prepared(images[:SAMPLE], self._described.input)
        if ranges:
            self._twin = build(graph, ranges=ranges)
        else:
            with bar("statistics") as progress:
                seen = statistics(graph, sample, progress=progress)
            self._twin = build(graph, statistics=seen, is_frozen=True)
        self.model = self._mapped(np.concatenate([row[0] for row in sample]))

    def _mapped(self, sample: Array) -> Any:  # noqa: ANN401 - a Keras model
        """Return the pupil with its states mapped to the teacher's, as a sample has it best."""
        tensors = self._twin.tensors
        outputs = {name: tensors[name] for name in self._outputs}
        pupil = self._twin.tapped(self._states).predict_on_batch(sample) if self._states else {}
        wanted = self._teacher.predict_on_batch(sample)
        for number, name in enumerate(self._states):
            rows = [value.reshape(-1, value.shape[-1]) for value in (pupil[name], wanted[name])]
            kernel, bias = _least_squares(*rows)
            layer = keras.layers.Dense(kernel.shape[1], name=f"map{number}")
            outputs[STATE + name] = layer(tensors[name])
            layer.set_weights([kernel, bias])
        return keras.Model(self._twin.model.input, outputs)

    def batch(self, step: int) -> Batch:
        """Return the images of a step and what the teacher gives for them."""
        drawn = self._images(step)
        found = self._teacher.predict_on_batch(drawn[IMAGE])
        return {**drawn, **{TEACHER + name: value for name, value in found.items()}}

    def loss(self, found: Any, batch: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
        """Return what the outputs and the states of a batch are off, and the parts of that."""
        wanted = {name: batch[TEACHER + name] for name in self._outputs}
        made = parts(self._described, found, wanted)
        if self._states:
            rows = [
                relative_error(found[STATE + name], batch[TEACHER + name]) for name in self._states
            ]
            made["states"] = sum(rows[1:], rows[0]) / len(rows)
        values = list(made.values())
        return sum(values[1:], values[0]), made

    def graph(self) -> Graph:
        """Return the pupil with the weights as they are now."""
        return with_values(self._twin.graph, self._twin.weights())

    def ranges(self) -> dict[str, Range]:
        """Return the ranges as they are now, where it learns to be rounded."""
        return self._twin.ranges()

    def step_s(self) -> float:
        """Return how long a step takes, without what the first one does; the model is as before."""
        weights, taken = self.model.get_weights(), []
        for steps in (1, 1 + TIMED_STEPS):
            started = time.monotonic()
            plan = Plan(steps=steps, batch=BATCH, evaluate_every=steps, seed=self.seed)
            fit(self.model, self.loss, self.batch, score=lambda: 0.0, plan=plan, label="time")
            taken.append(time.monotonic() - started)
            self.model.set_weights(weights)
        return max(taken[1] - taken[0], LEAST_STEP_S) / TIMED_STEPS


def _states(whole: Graph, cut: Graph) -> list[str]:
    """Return what both make last of each size of picture, from the coarsest on."""
    found: dict[tuple[int, ...], str] = {}
    for op in cut.ops:
        name = op.output
        shape = cut.shape(name)
        if len(shape) != 4 or name in cut.outputs or name not in whole.tensors:  # noqa: PLR2004 - an image
            continue
        if whole.shape(name)[:3] == shape[:3] and shape[1] * shape[2] >= LEAST_CELLS:
            found[shape[1:3]] = name
    return [found[size] for size in sorted(found, key=lambda size: size[0] * size[1])][:STATES]


def _least_squares(source: Array, target: Array) -> tuple[Array, Array]:
    """Return the matrix `(I, O)` and the row `(O,)` that make of one the other, nearly."""
    means = source.mean(axis=0), target.mean(axis=0)
    a, b = source - means[0], target - means[1]
    square = a.T @ a
    square[np.diag_indices_from(square)] += RIDGE * np.trace(square) / len(square) + RIDGE
    kernel = np.linalg.solve(square, a.T @ b).astype(np.float32)
    return kernel, (means[1] - means[0] @ kernel).astype(np.float32)
