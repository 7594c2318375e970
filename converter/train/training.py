"""The whole way of a training: a net, labelled images, the twin, the loop, a judged file."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.dataset import image_set
from converter import export
from converter.choice import InputChoice, Origin
from converter.graph.edits import with_values
from converter.graph.fusing import WEIGHTED
from converter.graph.reading import read
from converter.graph.writing import write
from converter.importers import facts
from converter.quantize.quantization import digests
from converter.quantize.running import prepared, tapped
from converter.quantize.threshold import with_threshold
from converter.train import losses
from converter.train.anchors import clustered
from converter.train.data.augment import Changes
from converter.train.data.batches import Batches
from converter.train.loop import fit
from edge.errors import ModelError, SourceError
from edge.evaluation.images import upright_size_wh
from edge.evaluation.measuring import measure
from edge.evaluation.truth import MaskTruth
from edge.model.model_file import ModelFile
from edge.terminal.version import versions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from converter.graph.values import Graph
    from converter.train.data.labelled import Labelled, Sample
    from converter.train.data.parts import Parts
    from converter.train.loop import Fitted, Plan
    from converter.train.nets.table import Net
    from converter.train.nets.wish import Wish
    from converter.train.twin.statistics import Moments

# Images from which the batch normalisations start.
LOOKED_AT = 32
# Deviation of the noise that a denoising autoencoder takes off again, of pixels in 0..1.
NOISE = 0.05
TOOLS = ("keras", "tensorflow", "numpy")


@dataclass(frozen=True, slots=True)
class Trained:
    """A float model, and what it is worth.

    Attributes:
        file: Its manifest says how it was made, and with which images.
        fitted: How the training went.
        metrics: On the judge images, the main one first; none without such images.
        classes: Label to its own metrics.
    """

    file: ModelFile
    fitted: Fitted
    metrics: Mapping[str, float]
    classes: Mapping[str, Mapping[str, float]]


def anchors_of(
    samples: Sequence[Sample], count: int, *, seed: int
) -> tuple[tuple[float, float], ...]:
    """Return the widths and heights that k-means finds, shares of the image, by rising area."""
    shares = [
        (sample.boxes[:, 2:] - sample.boxes[:, :2]) / upright_size_wh(sample.path)
        for sample in samples if len(sample.boxes)
    ]  # fmt: skip
    if not shares:
        raise SourceError(
            "expected boxes among the images that train, found all on those held back; label more"
        )
    found = clustered(np.concatenate(shares), count, seed=seed)
    return tuple((float(width), float(height)) for width, height in found)


def new_model(net: Net, wish: Wish, *, name: str, path: Path) -> ModelFile:
    """Return the untrained model, described as the runtime wants it."""
    origin = Origin(name=name, source=f"trained here: {net.what}", license="your own")
    return facts.complete(net.make(wish), path, family=None, origin=origin, choice=InputChoice())


# What is trained, on what, and how.
def train(  # noqa: PLR0913
    file: ModelFile,
    found: Labelled,
    *,
    parts: Parts,
    plan: Plan,
    changes: Changes,
    frozen: int = 0,
    is_new: bool = False,
    resume: bool = False,
) -> Trained:
    """Train a float model of ours and judge it on images that neither trained nor chose.

    A new net learns all, one that was pruned gets its accuracy back, one of others' weights is
    fitted to these images: it is the same.

    Args:
        file: Of the labels of the set.
        found: Labelled images.
        parts: Them, shared out.
        plan: How.
        changes: Of the images that train.
        frozen: How many of the first convolutions stay as they are.
        is_new: It is of `new_model`: what has no bias yet was drawn at random.
        resume: Go on from the checkpoint of the plan's folder.

    Raises:
        ModelError: Nobody knows how to train it, its loss is no number any more, or there is
            nothing to resume.
    """
    from converter.train.twin.building import build  # noqa: PLC0415 - loads TensorFlow
    from converter.train.twin.statistics import statistics  # noqa: PLC0415 - likewise

    objective, transform = losses.for_task(file.description), file.description.input
    graph = read(file.flatbuffer, file.path)
    looked_at = [sample.path for sample in parts.train[:: max(1, len(parts.train) // LOOKED_AT)]]
    moments = statistics(graph, prepared(looked_at[:LOOKED_AT], transform))
    moments = _with_fresh(graph, moments) if is_new else moments
    kept = _first_constants(graph, frozen)
    twin = build(
        graph,
        statistics={key: value for key, value in moments.items() if key not in heads(graph)},
        trainable=lambda constant: constant not in kept,
    )
    is_anomaly = found.holds == "images"
    batches = Batches(
        parts.train, transform, objective.targets, changes=changes, batch=plan.batch,
        seed=plan.seed, is_binary=isinstance(found.truth, MaskTruth) and found.truth.is_binary,
        noise=NOISE * 255 / max(transform.std) if is_anomaly else 0.0,
    )  # fmt: skip

    def current() -> ModelFile:
        flatbuffer = write(with_values(graph, twin.weights()))
        anchors = file.description.anchors
        return ModelFile.of(file.path, flatbuffer, file.own_manifest(), anchors=anchors)

    fitted = fit(
        twin.model, objective.loss, batches,
        score=lambda: score(current(), found, parts.select), plan=plan, resume=resume,
    )  # fmt: skip
    step = (
        f"trained: {fitted.steps} steps of {plan.batch} images, the weights of step "
        f"{fitted.best_step}, as they scored best on {len(parts.select)} others; seed {plan.seed}"
    )
    made = _sealed(file, current().flatbuffer, step, parts=parts, seed=plan.seed)
    if not parts.judge:
        return Trained(made, fitted, {}, {})
    if is_anomaly:
        try:
            made = with_threshold(made, [sample.path for sample in parts.select], quantile=0.99)
        except ModelError as error:
            raise ModelError(
                f"{file.path}: expected an autoencoder that gives its images back, found one that "
                f"gives them back worse than one even colour after {fitted.steps} steps; go on "
                "with --resume and more --epochs or --minutes"
            ) from error
        return Trained(made, fitted, {"mean squared error": -score(made, found, parts.judge)}, {})
    judged = _evaluation(made, found, parts.judge, is_brief=False)
    return Trained(made, fitted, judged.metrics, judged.classes)


def recover(
    cut: ModelFile, found: Labelled, *, parts: Parts, plan: Plan, resume: bool = False
) -> tuple[ModelFile, str]:
    """Train what a cut left by labels; return it and what was done, or the cut if it gains nothing.

    Args:
        cut: Float, of the labels of the set.
        found: Labelled images.
        parts: Those that train and those that select.
        plan: How.
        resume: Go on from the checkpoint of the plan's folder.

    Raises:
        ModelError: As `train`.
    """
    before = score(cut, found, parts.select)
    done = train(cut, found, parts=parts, plan=plan, changes=Changes(), resume=resume)
    fitted, gains = done.fitted, done.fitted.score > before
    what = "recovered by labels" if gains else "training by labels gained nothing and is left out"
    words = (
        f"{what}: {fitted.steps} steps of {plan.batch} of {len(parts.train)} images, seed "
        f"{plan.seed}; score on {len(parts.select)} others {before:.3f} before, {fitted.score:.3f} "
        f"{'behind it' if gains else 'at best'}"
    )
    return (done.file if gains else export.remade(cut, cut.flatbuffer, words, tools={})), words


def heads(graph: Graph) -> set[str]:
    """Return the ops with weights whose numbers come out as they are, but for their shape."""
    passing = {"RESHAPE", "CONCATENATION", "SOFTMAX", "RESIZE_BILINEAR", "TRANSPOSE"}
    waiting, seen = list(graph.outputs), set()
    while waiting:
        op = graph.producers.get(waiting.pop())
        if op is None:
            continue
        if op.kind in passing:
            waiting += graph.computed_inputs(op)
        else:
            seen.add(op.output)
    return seen


def _with_fresh(graph: Graph, moments: Mapping[str, Moments]) -> dict[str, Moments]:
    """Return the moments of a new net, in which those of ops without a bias are nothing to keep."""
    drawn = {
        op.output for op in graph.ops
        if op.kind in WEIGHTED and not np.any(graph.value(op.inputs[WEIGHTED[op.kind][1]]))
    }  # fmt: skip
    return {name: replace(one, is_fresh=name in drawn) for name, one in moments.items()}


def _first_constants(graph: Graph, count: int) -> set[str]:
    """Return what the first convolutions multiply with and add."""
    first = [op for op in graph.ops if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D")][:count]
    return {name for op in first for name in op.inputs[1:]}


def score(file: ModelFile, found: Labelled, samples: Sequence[Sample]) -> float:
    """Return how good a float model is on some images, on the path of the board; more is better."""
    if found.truth is None:
        return -_squared_error(file, [sample.path for sample in samples])
    judged = _evaluation(file, found, samples, is_brief=True)
    value = judged.metrics[judged.main_metric]
    return value if math.isfinite(value) else 0.0


def _evaluation(
    file: ModelFile, found: Labelled, samples: Sequence[Sample], *, is_brief: bool
) -> Any:  # noqa: ANN401 - an Evaluation
    paths = [sample.path for sample in samples]
    if found.truth is None:
        raise ValueError("expected labels to judge by, got none")
    done = measure([file], found.truth, paths, seed=0, resamples=0, threads=2, is_brief=is_brief)
    return done.evaluations[0]


def _squared_error(file: ModelFile, images: Sequence[Path]) -> float:
    graph, inputs = read(file.flatbuffer, file.path), prepared(images, file.description.input)
    made = tapped(graph, graph.outputs, inputs)
    errors = [
        float(((given - values) ** 2).mean())
        for (given,), (values,) in zip(made, inputs, strict=True)
    ]
    return sum(errors) / len(errors)


def _sealed(file: ModelFile, flatbuffer: bytes, step: str, *, parts: Parts, seed: int) -> ModelFile:
    """Return the model with the weights, and with the images of each part in its manifest."""
    made = export.remade(file, flatbuffer, step, tools=versions(TOOLS))
    sets = {}
    for part in ("train", "select", "judge"):
        paths = [sample.path for sample in getattr(parts, part)]
        if not paths:
            continue
        sets[part] = digests(image_set(paths[0].parent, paths, seed=seed))
    return export.sealed(made, made.own_manifest().replace(image_sets=sets))
