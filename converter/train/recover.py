"""Recovery without labels: a pruned model learns to give what the whole float one gives."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from converter import export
from converter.graph.reading import read
from converter.graph.writing import write
from converter.judge.sight import Views
from converter.judge.verify import compare
from converter.prune.pruning import check_count
from converter.train.lesson import BATCH, Lesson
from converter.train.loop import Plan, fit
from edge.errors import ModelError, SourceError
from edge.terminal.progress import bar
from edge.terminal.version import versions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from converter.train.loop import Fitted
    from edge.model.model_file import ModelFile

# Found on yolov3-tiny: at 3e-4 it forgets more than it learns.
LEARNING_RATE = 4e-5
# Judgements of a run: each takes as long as some steps.
EVALUATIONS, PATIENCE = 20, 7
# Of the steps, the part in which the rate rises.
WARM = 10
PLAN = "plan.json"
TOOLS = ("keras", "tensorflow")


@dataclass(frozen=True, slots=True)
class Recovered:
    """A pruned model that was trained.

    Attributes:
        file: Its manifest says what was done; the pruned one where training gained nothing.
        step: That.
        before: Agreement with the whole model on images that select, before.
        after: The same behind it.
        fitted: What the training came to.
        cpu_s: CPU time of the process.
    """

    file: ModelFile
    step: str
    before: float
    after: float
    fitted: Fitted
    cpu_s: float


# The whole, the cut, what each is shown, how long.
def recover(  # noqa: PLR0913
    whole: ModelFile,
    cut: ModelFile,
    images: Sequence[Path],
    *,
    select: Sequence[Path],
    minutes: float = 30.0,
    steps: int | None = None,
    seed: int = 0,
    folder: Path | None = None,
    resume: bool = False,
) -> Recovered:
    """Train a pruned model until it agrees no more with the whole one on other images.

    The same files, images, steps and seed give the same weights on a CPU.

    Args:
        whole: Float, the teacher.
        cut: Made of it: some tensors of the same names, outputs of the same shapes.
        images: To train on, plain ones.
        select: None of these; they say when to stop, and which weights were best.
        minutes: The steps that these hold, as measured at the start, are done.
        steps: In their place.
        seed: Of all that is drawn.
        folder: Of the checkpoint.
        resume: Go on from there.

    Raises:
        SourceError: There are too few images, or the whole model sees nothing on those that select.
        ModelError: The two do not fit together, or Keras does not know an op of theirs.
    """
    check_count(images, use="to train on")
    started = time.process_time()
    scorer = Scorer(whole, cut, select)
    before = scorer.score(cut)
    lesson = Lesson(whole, read(cut.flatbuffer, cut.path), images, seed=seed)

    def made(words: str = "trained") -> ModelFile:
        return export.remade(cut, write(lesson.graph()), words, tools=versions(TOOLS))

    plan = planned(lesson, minutes=minutes, steps=steps, folder=folder, resume=resume)
    done = fit(
        lesson.model,
        lesson.loss,
        lesson.batch,
        score=lambda: scorer.score(made()),
        plan=plan,
        resume=resume,
        label="recover",
    )
    words = (
        f"{done.steps} steps of {plan.batch} of {len(images)} plain images, seed {seed}; agreement "
        f"with the whole model {before:.3f} before"
    )
    if done.score > before:
        words = f"recovered by distillation: {words}, {done.score:.3f} behind it"
    else:
        words = f"distillation gained nothing and is left out: {words}, {done.score:.3f} at best"
    kept = export.remade(cut, cut.flatbuffer, words, tools={})
    return Recovered(
        file=made(words) if done.score > before else kept,
        step=words,
        before=before,
        after=max(before, done.score),
        fitted=done,
        cpu_s=time.process_time() - started,
    )


# As `recover` is called, and how fast it learns.
def planned(  # noqa: PLR0913
    lesson: Lesson,
    *,
    minutes: float,
    steps: int | None = None,
    folder: Path | None = None,
    resume: bool = False,
    learning_rate: float | None = None,
) -> Plan:
    """Return how to train; a run that goes on keeps the steps that it began with."""
    kept = folder / PLAN if folder else None
    if resume and kept and kept.is_file():
        steps = int(json.loads(kept.read_text("utf-8"))["steps"])
    steps = steps or max(EVALUATIONS, int(minutes * 60 / lesson.step_s()))
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        export.write_bytes(json.dumps({"steps": steps}).encode(), kept)
    return Plan(
        steps=steps, batch=BATCH, learning_rate=learning_rate or LEARNING_RATE, weight_decay=0.0,
        seed=lesson.seed,
        warmup_steps=max(1, steps // WARM), evaluate_every=max(1, steps // EVALUATIONS),
        patience=PATIENCE, folder=folder,
    )  # fmt: skip


class Scorer:
    """How much of what the whole model sees on some images another one sees, in [0, 1]."""

    def __init__(self, whole: ModelFile, cut: ModelFile, select: Sequence[Path]) -> None:
        if whole.description.input.size_wh != cut.description.input.size_wh:
            raise ModelError(
                f"{cut.path}: expected an input of {whole.description.input.size_wh}, as the whole "
                f"model's, found {cut.description.input.size_wh}; give the whole model of that size"
            )
        self._select, self._whole = select, Views(whole)
        self._whole.add(select)
        if not self._objects(self._whole):
            raise SourceError(
                f"expected images that show something to the float model, found none among "
                f"{len(select)}; give images like those of the camera"
            )

    def _objects(self, views: Views) -> int:
        (bill,) = compare(self._whole, [views])
        return bill.likeness.objects

    def score(self, file: ModelFile) -> float:
        """Return one minus the distance that the gate goes by."""
        views = Views(file)
        with bar("agreement") as progress:
            views.add(self._select, progress=progress)
        (bill,) = compare(self._whole, [views])
        return 1 - bill.likeness.distance
