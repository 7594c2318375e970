"""Training for int8: a model learns, rounded as int8 rounds, to give what the float one gives.

Weights and ranges go into the same quantiser as any others; what it makes is within a level of what
was trained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from converter import export
from converter.graph.writing import write
from converter.quantize.quantization import described, fitted, with_floor
from converter.quantize.quantize import quantize
from converter.train.lesson import Lesson
from converter.train.loop import fit
from converter.train.recover import TOOLS, Scorer, planned
from edge.errors import ModelError
from edge.terminal.version import versions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from converter.quantize.observations import Observations
    from converter.quantize.recipe import Recipe
    from edge.model.model_file import ModelFile

# Weights are as their batch normalisations left them: smaller steps than those of a recovery.
LEARNING_RATE = 1e-5


# What it is made of, by what, and how long.
def train_quantised(  # noqa: PLR0913
    observations: Observations,
    recipe: Recipe,
    *,
    select: Sequence[Path],
    minutes: float,
    steps: int | None = None,
    seed: int = 0,
) -> ModelFile:
    """Return the int8 model of a float one that was trained for it, as its manifest says.

    Args:
        observations: Of the float model; its images train.
        recipe: int8 throughout; of its repairs only an equalisation is done.
        select: Other images, which say when to stop.
        minutes: The steps that these hold are done.
        steps: In their place.
        seed: Of all that is drawn.

    Raises:
        ModelError: The recipe is another, or Keras does not know an op of the model's.
        SourceError: The float model sees nothing on the images that select.
    """
    if recipe.activations != "int8" or recipe.is_mixed:
        raise ModelError(f"expected a recipe of int8 throughout to train for, found {recipe.name}")
    float_file = observations.file
    recipe = fitted(recipe, observations.graph(equalised=False))
    is_equalised = "equalisation" in recipe.repairs
    recipe = recipe.replace(repairs=("equalisation",) if is_equalised else ())
    ranges = observations.ranges(recipe.calibrator, equalised=is_equalised)
    lesson = Lesson(
        float_file, observations.graph(equalised=is_equalised), observations.images.paths,
        seed=seed, ranges=with_floor(float_file, ranges, recipe),
    )  # fmt: skip
    scorer = Scorer(float_file, float_file, select)

    def made(words: str = "trained") -> ModelFile:
        graph = lesson.graph()
        trained = export.remade(float_file, write(graph), words, tools=versions(TOOLS))
        found = quantize(graph, lesson.ranges(), recipe, path=float_file.path)
        return described(trained, found, images=observations.images, recipe=recipe)

    start, before = lesson.model.get_weights(), scorer.score(made())
    plan = planned(lesson, minutes=minutes, steps=steps, learning_rate=LEARNING_RATE)
    done = fit(
        lesson.model, lesson.loss, lesson.batch, score=lambda: scorer.score(made()), plan=plan,
        label="train int8",
    )  # fmt: skip
    words = (
        f"trained for int8: {done.steps} steps of {plan.batch} of {len(observations.images.paths)} "
        f"plain images, seed {seed}; agreement with the float model {before:.3f} before, "
        f"{done.score:.3f} behind"
    )
    if done.score <= before:
        lesson.model.set_weights(start)
        words = f"{words}: it gained nothing and is left out"
    return made(words)
