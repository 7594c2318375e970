"""The whole way of one model: calibrate, quantise, compare, judge."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from calibration.dataset import image_set, sample
from converter import accuracy, export
from converter.attempts import Attempt, merit
from converter.auto_repair import free_repairs, kept_layers, search_fewest
from converter.gate import faults
from converter.inspect_graph import read_tables
from converter.latency import measure
from converter.observations import Observations
from converter.quantization import quantize_observed
from converter.sensitivity import layer_errors
from converter.verify import compare
from edge.errors import ModelError, SourceError
from edge.terminal.progress import bar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from calibration.dataset import ImageSet
    from converter.accuracy import Annotations
    from converter.bill import Bill
    from converter.gate import Budget
    from converter.latency import Latency
    from converter.recipe import Recipe
    from edge.model.model_file import ModelFile

# Each takes some 40 ms of CPU on SSDLite-MobileNetV2.
CALIBRATION_COUNT = 100


@dataclass(frozen=True, slots=True)
class Images:
    """Images in two parts without a common one.

    Attributes:
        calibration: What the ranges come from.
        held_back: What the result is judged on.
        annotations: Of the held-back ones, or `None`.
        dataset: Name of the set, for the manifest.
    """

    calibration: ImageSet
    held_back: tuple[Path, ...]
    annotations: Annotations | None
    dataset: str


@dataclass(frozen=True, slots=True)
class Conversion:
    """A quantised model, and how it came about.

    Attributes:
        reference: The float model.
        quantized: The result; where no attempt passes, that of the best.
        images: That it was calibrated and judged with.
        attempts: In the order in which they were tried; the first is the recipe asked for.
        chosen: Index of the attempt that made `quantized`.
        twin: The float FlatBuffer that was quantised: the reference's, or its equalised twin, whose
            tensors differ from it by a factor a channel.
        latencies: Where layers were kept float: the invoke of the recipe's own result, `plain`, and
            of this one, `kept`; else empty.
    """

    reference: ModelFile
    quantized: ModelFile
    images: Images
    attempts: tuple[Attempt, ...]
    chosen: int
    twin: bytes
    latencies: Mapping[str, Latency]

    @property
    def bill(self) -> Bill:
        """The bill of the result."""
        return self.attempts[self.chosen].made

    @property
    def recipe(self) -> Recipe:
        """The recipe of the result."""
        return self.attempts[self.chosen].recipe

    @property
    def faults(self) -> tuple[str, ...]:
        """How the result exceeds the budget; empty where it passes."""
        return self.attempts[self.chosen].faults


def draw_images(
    folder: Path,
    *,
    calibration_count: int | None,
    held_back_count: int,
    seed: int,
    annotations: Annotations | None,
) -> Images:
    """Draw both parts from one folder, by seed, duplicates and near-duplicates left out.

    Args:
        folder: Of images.
        calibration_count: `None` takes half of what is drawn, at most `CALIBRATION_COUNT`.
        held_back_count: Most images to judge on.
        seed: Of the draw.
        annotations: Of the images, or `None`.

    Raises:
        SourceError: The folder has not more images than calibration takes.
    """
    wanted = (calibration_count or CALIBRATION_COUNT) + held_back_count
    with bar("draw") as progress:
        drawn = sample(folder, count=wanted, seed=seed, progress=progress)
    count = calibration_count or max(1, min(CALIBRATION_COUNT, len(drawn.paths) // 2))
    if len(drawn.paths) <= count:
        raise SourceError(
            f"{folder}: expected {count + 1} images or more, some to calibrate with and others to "
            f"judge on, found {len(drawn.paths)}; add images{' or lower --count' * (count > 1)}"
        )
    return Images(
        calibration=image_set(folder, drawn.paths[:count], seed=seed),
        held_back=drawn.paths[count:],
        annotations=annotations,
        dataset=folder.resolve().name,
    )


def judge(reference: ModelFile, quantized: ModelFile, images: Images, *, seed: int) -> Bill:
    """Compare both models on the held-back images, against labels where there are any."""
    with bar("compare") as progress:
        bill = compare(reference, quantized, images.held_back, progress=progress)
    if images.annotations is None:
        return bill
    with bar("accuracy") as progress:
        rows = accuracy.compare(
            reference,
            quantized,
            images=images.held_back,
            annotations=images.annotations,
            dataset=images.dataset,
            seed=seed,
            progress=progress,
        )
    return replace(bill, accuracy=rows)


def convert(
    reference: ModelFile, images: Images, recipe: Recipe, *, budget: Budget, repair: bool = True
) -> Conversion:
    """Quantise, judge against the budget, repair where it fails, and return all that was tried.

    Repairs are tried in the order of what they cost on the board: other calibrators and repairs of
    the weights, then the worst layers kept float, the fewest that do. The first that passes is the
    result; where none does, the best. The quantised file carries its accuracy in its manifest,
    whether it passes or not.
    """
    trials = Trials(Observations(reference, images.calibration), images, budget)
    trials.run(f"recipe {recipe.name}", recipe)
    if repair and not trials.passed:
        _repair(trials, recipe)
    return trials.conversion()


def _repair(trials: Trials, recipe: Recipe) -> None:
    for what, other in free_repairs(recipe):
        if trials.run(what, other):
            return
    file, best = trials.files[trials.best], trials.attempts[trials.best].recipe
    reference = trials.observations.file
    twin = trials.observations.flatbuffer(equalised="equalisation" in best.repairs)
    with bar("layers", unit="layers") as progress:
        errors = layer_errors(
            reference, file, trials.images.calibration.paths, twin=twin, progress=progress
        )
    tables = read_tables(reference.flatbuffer, reference.path)
    steps = kept_layers(best, tables, errors)
    search_fewest(len(steps), lambda count: trials.run(*steps[count - 1]))


def describe_attempts(done: Conversion) -> list[str]:
    """Return a line for each attempt, and one on the cost of what was kept float."""
    lines = [
        f"tried {attempt.what}: {attempt.figure} in {attempt.elapsed_s:.0f} s, "
        f"{'refused' if attempt.faults else 'passes'}"
        for attempt in done.attempts
    ]
    if done.latencies:
        plain, kept = (done.latencies[name].median_ms for name in ("plain", "kept"))
        lines.append(
            f"an invoke takes {kept:.2f} ms here, {kept - plain:+.2f} ms beside plain int8"
        )
    return lines


class Trials:
    """All attempts at one model, and what they made.

    Attributes:
        attempts: In the order in which they were run.
        files: What each made; of one that failed, what the first made.
    """

    def __init__(self, observations: Observations, images: Images, budget: Budget) -> None:
        self.observations = observations
        self.images = images
        self.attempts: list[Attempt] = []
        self.files: list[ModelFile] = []
        self._budget = budget

    @property
    def passed(self) -> bool:
        """Whether the last attempt passes."""
        return not self.attempts[-1].faults

    @property
    def best(self) -> int:
        """The index of the attempt to deliver: the one that passes, or comes nearest; the first."""
        return max(range(len(self.attempts)), key=lambda index: merit(self.attempts[index]))

    def run(self, what: str, recipe: Recipe) -> bool:
        """Quantise and judge once more; return whether that passes."""
        started = time.monotonic()
        try:
            with bar("observe") as self.observations.progress:
                file = quantize_observed(self.observations, recipe)
        except ModelError as error:
            # Without a first result there is nothing to deliver, and nothing to repair.
            if not self.attempts:
                raise
            elapsed_s = time.monotonic() - started
            self._add(Attempt(what, recipe, None, (str(error),), elapsed_s), self.files[0])
            return False
        bill = judge(self.observations.file, file, self.images, seed=self.images.calibration.seed)
        manifest = file.own_manifest().model_copy(update={"accuracy": bill.accuracy})
        elapsed_s = time.monotonic() - started
        found = tuple(faults(bill, self._budget))
        self._add(Attempt(what, recipe, bill, found, elapsed_s), export.sealed(file, manifest))
        return not found

    def _add(self, attempt: Attempt, file: ModelFile) -> None:
        self.attempts.append(attempt)
        self.files.append(file)

    def conversion(self) -> Conversion:
        """Return the result, its invoke timed against the plain one where layers stay float."""
        best = self.best
        quantized, latencies = self.files[best], {}
        if self.attempts[best].recipe.is_mixed and best > 0:
            with bar("latency", unit="windows") as progress:
                latencies = measure({"plain": self.files[0], "kept": quantized}, progress=progress)
        return Conversion(
            reference=self.observations.file,
            quantized=quantized,
            images=self.images,
            attempts=tuple(self.attempts),
            chosen=best,
            twin=self.observations.flatbuffer(
                equalised="equalisation" in self.attempts[best].recipe.repairs
            ),
            latencies=latencies,
        )
