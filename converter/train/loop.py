"""One training loop: seeded steps, the best by score kept, checkpoints that go on exactly."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from converter.train import checkpoints
from converter.train.checkpoints import State
from edge.errors import ModelError
from edge.terminal.progress import bar
from edge.terminal.signals import interruptible

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Batch = Mapping[str, NDArray[Any]]
    # Of the model's outputs and a batch of tensors: the loss, and its parts by name.
    Loss = Callable[[Any, Any], tuple[Any, dict[str, Any]]]

# Part of a batch that the model itself reads.
IMAGE = "image"
# What the rate falls to at each plateau, and over the whole run along a half cosine.
PLATEAU_RATIO, LAST_RATIO = 0.3, 0.02
# Evaluations without a better score, in plateaus, until it is over.
PLATEAUS = 3
# Longest gradient, over all weights together; a batch of odd images moves no further than others.
CLIP = 10.0
OPTIMIZERS = {"adam": ("AdamW", {}), "sgd": ("SGD", {"momentum": 0.9, "nesterov": True})}


@dataclass(frozen=True)
class Plan:
    """How to train.

    Attributes:
        steps: Most of them.
        batch: Images a step, which whoever makes the batches keeps to.
        learning_rate: At its highest, behind the warm-up.
        warmup_steps: In which it rises from 0.
        weight_decay: Of AdamW, or of SGD.
        seed: Of all that is drawn.
        evaluate_every: Steps between two scores, each with a checkpoint.
        patience: Scores in a row without a better one until the rate falls; after `PLATEAUS` times
            as many it stops.
        folder: Of the checkpoint, the log and the curves; `None` keeps nothing.
        optimizer: `adam` or `sgd`.
        minutes: Wall time in which it is to end, the rate with it; never the same run twice.
    """

    steps: int
    batch: int = 16
    learning_rate: float = 1e-3
    warmup_steps: int = 50
    weight_decay: float = 1e-4
    seed: int = 0
    evaluate_every: int = 100
    patience: int = 5
    folder: Path | None = None
    optimizer: str = "adam"
    minutes: float | None = None


@dataclass(frozen=True)
class Fitted:
    """What came of it; the model holds the weights of the best score.

    Attributes:
        steps: That were done.
        best_step: After which the score was best.
        score: That score.
        why: It stopped.
        rows: One an evaluation, as the log has them.
    """

    steps: int
    best_step: int
    score: float
    why: str
    rows: tuple[dict[str, float], ...]


# The contract of all who train: what, by what, on what.
def fit(  # noqa: PLR0913
    model: Any,  # noqa: ANN401 - a Keras model
    loss: Loss,
    batch: Callable[[int], Batch],
    *,
    score: Callable[[], float],
    plan: Plan,
    resume: bool = False,
    label: str = "train",
) -> Fitted:
    """Train a model in place; it ends with the weights that scored best.

    Args:
        model: One input, named outputs.
        loss: Called in a traced function with the outputs and the batch's tensors.
        batch: Makes that of a step, arrays by name, the model's own as `IMAGE`. A pure function: it
            is called ahead on another thread, and again after a resume.
        score: Of the model as it is now, higher is better.
        plan: How.
        resume: Go on from the checkpoint of the plan's folder.
        label: What the progress bar says.

    Raises:
        ModelError: The loss is no number any more, or there is no checkpoint to go on from.
        KeyboardInterrupt: Ctrl-C; a checkpoint was written first.
    """
    import keras  # noqa: PLC0415 - 3 s, for who trains

    keras.utils.set_random_seed(plan.seed)
    run = _Run(model, loss, plan)
    if resume:
        run.restore()
    shown = bar(label, unit="steps", patience_s=0.0, note=run.note)
    with interruptible() as interrupted, shown as progress:
        why = run.train(batch, score=score, interrupted=interrupted, progress=progress)
    model.set_weights(run.best)
    state = run.state
    return Fitted(state.step, state.best_step, state.best, why, state.rows)


class _Run:
    """A model in training, its optimizer and how far it is."""

    def __init__(self, model: Any, loss: Loss, plan: Plan) -> None:  # noqa: ANN401
        import keras  # noqa: PLC0415 - as above
        import tensorflow as tf  # noqa: PLC0415 - as above

        if not tf.config.list_physical_devices("GPU"):
            tf.config.experimental.enable_op_determinism()
        kind, extra = OPTIMIZERS[plan.optimizer]
        self.optimizer = getattr(keras.optimizers, kind)(
            plan.learning_rate, weight_decay=plan.weight_decay, global_clipnorm=CLIP, **extra
        )
        # Numbers and vectors (biases, batch norms) are not pulled to zero.
        thin = [one for one in model.trainable_variables if len(one.shape) < 2]  # noqa: PLR2004
        self.optimizer.exclude_from_weight_decay(var_list=thin)
        self.optimizer.build(model.trainable_variables)
        self.model, self.plan, self.state = model, plan, State(plan.seed)
        self.started = time.monotonic()
        self.best: list[NDArray[Any]] = model.get_weights()
        self._step = tf.function(self._stepped(loss, tf), reduce_retracing=True)

    def _stepped(self, loss: Loss, tf: Any) -> Callable[..., Any]:  # noqa: ANN401
        def step(batch: Any) -> Any:  # noqa: ANN401
            with tf.GradientTape() as tape:
                total, parts = loss(self.model(batch[IMAGE], training=True), batch)
            variables = self.model.trainable_variables
            pairs = zip(tape.gradient(total, variables), variables, strict=True)
            # A bias behind which a batch normalisation stands changes nothing.
            moved = [pair for pair in pairs if pair[0] is not None]
            self.optimizer.apply(*zip(*moved, strict=True))
            return total, parts

        return step

    def note(self) -> str:
        """Return what stands behind the progress bar."""
        state = self.state
        best = f", best score {state.best:.4f}" if state.rows else ""
        return f"loss {state.means()['loss']:.4f}{best}" if state.counted else ""

    def spent(self) -> float:
        """Return the part of the minutes that is over, 0 where there is no limit."""
        limit = self.plan.minutes
        return (time.monotonic() - self.started) / (60 * limit) if limit else 0.0

    def rate(self) -> float:
        """Return the learning rate of the step that comes."""
        plan, step = self.plan, self.state.step
        warm = min(1.0, (step + 1) / max(plan.warmup_steps, 1))
        fall = (1 + math.cos(math.pi * min(1.0, max(step / plan.steps, self.spent())))) / 2
        return plan.learning_rate * warm * self.state.rate * max(fall, LAST_RATIO)

    def train(
        self,
        batch: Callable[[int], Batch],
        *,
        score: Callable[[], float],
        interrupted: threading.Event,
        progress: Callable[[int, int], None] | None,
    ) -> str:
        """Train until there is a reason to stop; return it."""
        plan, state = self.plan, self.state
        with ThreadPoolExecutor(1, thread_name_prefix="edge-batch") as ahead:
            coming = ahead.submit(batch, state.step)
            while True:
                late, over = state.step > 0 and self.spent() > 1, state.step >= plan.steps
                # Of steps that were done: a run that was interrupted here is judged first.
                if state.counted and (late or over or state.step % plan.evaluate_every == 0):
                    self._check()
                    self._judge(score())
                if state.waited >= PLATEAUS * plan.patience:
                    return f"no better score in {state.waited} evaluations"
                if late or over:
                    return f"{plan.minutes:g} minutes are over" if late else "all steps are done"
                arrays = coming.result()
                coming = ahead.submit(batch, state.step + 1)
                self._one(arrays)
                if progress:
                    progress(state.step, plan.steps)
                if interrupted.is_set():
                    self._check()
                    self.save()
                    raise KeyboardInterrupt

    def _one(self, arrays: Batch) -> None:
        """Do one step and count its losses.

        Raises:
            ModelError: The loss is no number.
        """
        self.optimizer.learning_rate.assign(self.rate())
        total, parts = self._step(dict(arrays))
        found = {"loss": float(total), **{name: float(value) for name, value in parts.items()}}
        if math.isfinite(found["loss"]):
            state = self.state
            state.step, state.counted = state.step + 1, state.counted + 1
            state.sums = {name: state.sums.get(name, 0.0) + found[name] for name in found}
            return
        raise ModelError(
            f"step {self.state.step + 1}: expected a loss that is a number, found {found['loss']}; "
            f"{checkpoints.advice(self.plan.folder)}"
        )

    def _check(self) -> None:
        """Refuse to keep weights that are no numbers: a gradient was none where its loss still was.

        Raises:
            ModelError: Some are.
        """
        broken = [one.path for one in self.model.weights if not np.isfinite(np.asarray(one)).all()]
        if broken:
            raise ModelError(
                f"step {self.state.step}: expected weights that are numbers, found others in "
                f"{len(broken)} tensors ({broken[0]}); {checkpoints.advice(self.plan.folder)}"
            )

    def _judge(self, score: float) -> None:
        """Take a score down, keep what is best, lower the rate on a plateau, write it all."""
        state = self.state
        if score > state.best:
            state.best, state.best_step, state.waited = score, state.step, 0
            self.best = self.model.get_weights()
        else:
            state.waited += 1
            if state.waited % self.plan.patience == 0:
                state.rate *= PLATEAU_RATIO
        ends = {"score": score, "learning_rate": self.rate()}
        state.rows = (*state.rows, {"step": float(state.step), **state.means(), **ends})
        state.sums, state.counted = {}, 0
        self.save()
        if self.plan.folder:
            checkpoints.write_log(self.plan.folder, state.rows)

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        if self.plan.folder:
            held = [np.asarray(one) for one in self.optimizer.variables]
            arrays = {"weights": self.model.get_weights(), "best": self.best, "optimizer": held}
            checkpoints.write(self.plan.folder, arrays, asdict(self.state))

    def restore(self) -> None:
        """Go back to where a checkpoint was.

        Raises:
            ModelError: There is none, or it is another net's or seed's.
        """
        if self.plan.folder is None:
            raise ModelError("expected a folder with a checkpoint to go on from, found none named")
        arrays, fields = checkpoints.read(self.plan.folder)
        now = {"weights": self.model.weights, "optimizer": self.optimizer.variables}
        shapes = [tuple(one.shape) for found in now.values() for one in found]
        same = shapes == [one.shape for key in now for one in arrays[key]]
        if not same or fields["seed"] != self.plan.seed:
            raise ModelError(
                f"{self.plan.folder}: expected a checkpoint of this net and seed "
                f"({self.plan.seed}), found another's; choose another folder, or start afresh "
                "without --resume"
            )
        self.model.set_weights(arrays["weights"])
        for variable, value in zip(self.optimizer.variables, arrays["optimizer"], strict=True):
            variable.assign(value)
        self.best = arrays["best"]
        fields["rows"] = tuple(fields["rows"])
        self.state = State(**fields)
