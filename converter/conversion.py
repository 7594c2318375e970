"""The whole way of one model: calibrate, quantise, choose, judge."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from calibration.image_sets import MOST_JUDGE, draw_sets
from converter import export
from converter.choice import QUANTILE
from converter.judge import accuracy, gate
from converter.judge.latency import measure
from converter.judge.sight import DIAGONALS, Views
from converter.judge.verify import compare
from converter.quantize.calibration_sight import with_sight
from converter.quantize.observations import Observations
from converter.quantize.quantization import digests, fitted
from converter.quantize.threshold import with_threshold
from converter.search.attempts import Trials
from edge.evaluation.class_folder import is_good
from edge.evaluation.measuring import RESAMPLES
from edge.evaluation.truth import ClassTruth
from edge.heads import task_of
from edge.terminal.progress import bar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from calibration.image_sets import ImageSets
    from converter.graph.values import Graph
    from converter.judge.accuracy import Annotations
    from converter.judge.bill import Bill
    from converter.judge.gate import Budget, Verdict
    from converter.judge.latency import Latency
    from converter.quantize.recipe import Recipe
    from converter.search.attempts import Attempt, Maker
    from edge.model.model_file import ModelFile

# Draws that tell whether the verdict hangs on the noise floor.
FEW_RESAMPLES = 100


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a verdict rests on.

    Attributes:
        images: Nothing was calibrated or chosen on them.
        annotations: Of them, or `None`.
        dataset: Name of the set, for the manifest.
        seed: Of the draws of images that tell how sure the figures are.
    """

    images: tuple[Path, ...]
    annotations: Annotations | None
    dataset: str
    seed: int


@dataclass(frozen=True, slots=True)
class Images:
    """The images of a conversion.

    Attributes:
        sets: In parts without a common one.
        annotations: Of them, or `None`.
        dataset: Name of the set, for the manifest.
    """

    sets: ImageSets
    annotations: Annotations | None
    dataset: str

    @property
    def good(self) -> tuple[Path, ...]:
        """Those that calibrate and show nothing unusual, as far as annotations say."""
        paths = self.sets.calibrate.paths
        truth = self.annotations.read(paths) if self.annotations else None
        if not isinstance(truth, ClassTruth):
            return paths
        names = [is_good(name) for name in truth.names]
        return tuple(path for key, path in truth.files.items() if names[truth.class_ids[key]])

    @property
    def judgement(self) -> Judgement:
        """What the verdict rests on."""
        judged = self.sets.judge
        return Judgement(judged.paths, self.annotations, self.dataset, judged.seed)


@dataclass(frozen=True, slots=True)
class Conversion:
    """A quantised model, what judged it, and how it came about.

    Attributes:
        reference: The float model.
        quantized: Made of it; where no attempt is good enough, that of the best.
        judgement: On which images.
        bill: Of the quantised model on them.
        verdict: On the bill, by the budget.
        sets: Of all images; this and what follows is not known of a model made elsewhere.
        attempts: In the order in which they were tried; the first is the recipe asked for.
        chosen: Index of the attempt that made `quantized`.
        base: The float graph that was quantised: the reference's, or the equalised one, whose
            tensors differ from it by a factor a channel.
        latencies: Where layers were kept float: the invoke of the recipe's own result, `plain`, and
            of this one, `kept`; else empty.
        source: What was quantised, where it was pruned of the reference first.
    """

    reference: ModelFile
    quantized: ModelFile
    judgement: Judgement
    bill: Bill
    budget: Budget
    verdict: Verdict
    sets: ImageSets | None = None
    attempts: tuple[Attempt, ...] = ()
    chosen: int = 0
    base: Graph | None = None
    latencies: Mapping[str, Latency] = field(default_factory=dict)
    source: ModelFile | None = None

    @property
    def made_of(self) -> ModelFile:
        """The float model of the same ops as the result: the source, or the reference."""
        return self.source or self.reference

    @property
    def recipe(self) -> Recipe | None:
        """The recipe of the result; `None` where the model was made elsewhere."""
        return self.attempts[self.chosen].recipe if self.attempts else None


def draw_images(
    folder: Path,
    *,
    calibration_count: int | None = None,
    judge_count: int = MOST_JUDGE,
    seed: int,
    annotations: Annotations | None,
) -> Images:
    """Draw the sets from one folder, by seed, duplicates and near-duplicates left out.

    Args:
        folder: Of images.
        calibration_count: `None` takes what `calibration.image_sets.share_out` gives.
        judge_count: Most images to judge on.
        seed: Of the draw.
        annotations: Of the images, or `None`.

    Raises:
        SourceError: The folder has too few images.
    """
    with bar("draw") as progress:
        sets = draw_sets(
            folder, seed=seed, calibrate=calibration_count, judge=judge_count, progress=progress
        )
    return Images(sets, annotations, folder.resolve().name)


def judge(
    reference: ModelFile,
    candidates: list[ModelFile],
    judgement: Judgement,
    *,
    budget: Budget,
    resamples: int = RESAMPLES,
) -> list[Bill]:
    """Compare models with the one that they were made of, against labels where there are any.

    Each model is run once on each image, for its heads, what it sees and what labels judge it by;
    the reference also on the image moved, along all diagonals where the verdict hangs on the noise
    floor, else along one, in turn. On six nets the floor of one lies within 6 to 22 % of that of
    all four, one standard deviation.
    """
    if not candidates:
        return []
    is_judged = judgement.annotations is not None
    views = [Views(file) for file in (reference, *candidates)]
    for what, view in zip(("float", *["compare"] * len(candidates)), views, strict=True):
        with bar(what) as progress:
            view.add(judgement.images, judged=is_judged, progress=progress)
    first = compare(views[0], views[1:], seed=judgement.seed, resamples=FEW_RESAMPLES)
    moves = 1 if all(gate.is_clear(bill, budget) for bill in first) else len(DIAGONALS)
    with bar("noise") as progress:
        views[0].move(moves, progress=progress)
    bills = compare(views[0], views[1:], seed=judgement.seed, resamples=resamples)
    if judgement.annotations is None:
        return bills
    with bar("accuracy") as progress:
        rows = accuracy.compare(
            reference,
            candidates,
            images=judgement.images,
            annotations=judgement.annotations,
            dataset=judgement.dataset,
            seed=judgement.seed,
            resamples=resamples,
            found=[view.found for view in views],
            progress=progress,
        )
    return [replace(bill, accuracy=row) for bill, row in zip(bills, rows, strict=True)]


def with_own_threshold(file: ModelFile, images: Images, *, quantile: float) -> ModelFile:
    """Return an autoencoder with the threshold that good images give it; else the file."""
    if task_of(file.description.head) != "anomaly":
        return file
    accuracy.check(file, images.sets.judge.paths, images.annotations)
    with bar("threshold") as progress:
        return with_threshold(file, images.good, quantile=quantile, progress=progress)


def convert(  # noqa: PLR0913 - the model, the images, and how to make and judge
    reference: ModelFile,
    images: Images,
    recipe: Recipe,
    *,
    budget: Budget,
    source: ModelFile | None = None,
    repair: bool = True,
    train: Maker | None = None,
    quantile: float = QUANTILE,
) -> Conversion:
    """Quantise, choose, judge against the budget, and return all that was tried.

    A source that was pruned of the reference is what is quantised. What quantising costs is chosen
    beside it, for no repair brings back what was cut; the verdict is on both, beside the reference.

    Attempts are compared on the images to choose by, and the first that is good enough there, or
    the nearest, is judged on images that none of this looked at. The quantised file says in its
    manifest which images served for what, and its accuracy, whether it passes or not.
    """
    sets = images.sets
    accuracy.check(reference, sets.judge.paths, images.annotations)
    observations = Observations(source or reference, sets.calibrate)
    recipe = fitted(recipe, observations.graph(equalised=False))
    trials = Trials(observations, sets.select.paths, budget)
    trials.run(f"recipe {recipe.name}", recipe)
    if repair and not trials.passed:
        trials.repair(recipe, train)
    best = trials.best
    attempt = trials.attempts[best]
    file = with_own_threshold(trials.files[best], images, quantile=quantile)
    with bar("look") as progress:
        file = with_sight(file, sets.calibrate.paths, progress=progress)
    (bill,) = judge(reference, [file], images.judgement, budget=budget)
    latencies: Mapping[str, Latency] = {}
    if attempt.recipe.is_mixed and best > 0:
        with bar("latency", unit="windows") as progress:
            latencies = measure({"plain": trials.files[0], "kept": file}, progress=progress)
    return Conversion(
        reference=reference,
        quantized=_described(file, images, bill),
        judgement=images.judgement,
        bill=bill,
        budget=budget,
        verdict=gate.judge(bill, budget),
        sets=sets,
        attempts=tuple(trials.attempts),
        chosen=best,
        base=trials.observations.graph(equalised="equalisation" in attempt.recipe.repairs),
        latencies=latencies,
        source=source,
    )


def _described(file: ModelFile, images: Images, bill: Bill) -> ModelFile:
    """Return the file with what its manifest says of how it was chosen and judged."""
    sets = images.sets
    named = {"select": digests(sets.select), "judge": digests(sets.judge, named=False)}
    changes = {
        "accuracy": accuracy.for_manifest(bill.accuracy),
        "image_sets": {**file.own_manifest().image_sets, **named},
    }
    return export.sealed(file, file.own_manifest().replace(**changes))


def describe_attempts(done: Conversion) -> list[str]:
    """Return a line for each attempt, and one on the cost of what was kept float."""
    lines = [
        f"tried {attempt.what}: {attempt.figure} in {attempt.elapsed_s:.0f} s, "
        f"{'not good enough' if attempt.fault else 'good enough'}"
        for attempt in done.attempts
    ]
    if done.latencies:
        plain, kept = (done.latencies[name].median_ms for name in ("plain", "kept"))
        lines.append(
            f"an invoke takes {kept:.2f} ms here, {kept - plain:+.2f} ms beside plain int8"
        )
    return lines
