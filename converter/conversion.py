"""The whole way of one model: calibrate, quantise, compare, judge."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from calibration.dataset import image_set, sample
from calibration.progress import bar
from converter import accuracy, export
from converter.gate import faults
from converter.quantization import quantize_file
from converter.verify import compare
from edge.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from calibration.dataset import ImageSet
    from converter.bill import Bill
    from converter.gate import Budget
    from converter.recipe import Recipe
    from edge.manifest import ModelFile

# Each takes some 0.2 s: two passes for the ranges, one for the means of bias correction.
CALIBRATION_COUNT = 100


@dataclass(frozen=True, slots=True)
class Images:
    """Images in two parts without a common one.

    Attributes:
        calibration: What the ranges come from.
        held_back: What the result is judged on.
        annotations: COCO `instances` of the held-back ones, or `None`.
        dataset: Name of the set, for the manifest.
    """

    calibration: ImageSet
    held_back: tuple[Path, ...]
    annotations: Path | None
    dataset: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way that was tried to quantise the model.

    Attributes:
        what: It differs in from the recipe asked for, a clause for people.
        recipe: That made it.
        bill: Of its result on the held-back images.
        faults: Sentences on how that exceeds the budget; none where it passes.
        elapsed_s: Of quantising and judging it.
    """

    what: str
    recipe: Recipe
    bill: Bill
    faults: tuple[str, ...]
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Conversion:
    """A quantised model, and how it came about.

    Attributes:
        reference: The float model.
        quantized: The result; where no attempt passes, that of the best.
        images: That it was calibrated and judged with.
        attempts: In the order in which they were tried; the first is the recipe asked for.
        chosen: Index of the attempt that made `quantized`.
    """

    reference: ModelFile
    quantized: ModelFile
    images: Images
    attempts: tuple[Attempt, ...]
    chosen: int

    @property
    def bill(self) -> Bill:
        """The bill of the result."""
        return self.attempts[self.chosen].bill

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
    annotations: Path | None,
) -> Images:
    """Draw both parts from one folder, by seed, duplicates and near-duplicates left out.

    Args:
        folder: Of images.
        calibration_count: `None` takes half of what is drawn, at most `CALIBRATION_COUNT`.
        held_back_count: Most images to judge on.
        seed: Of the draw.
        annotations: COCO `instances` of the images, or `None`.

    Raises:
        SourceError: The folder has not more images than calibration takes.
    """
    wanted = (calibration_count or CALIBRATION_COUNT) + held_back_count
    with bar("draw") as progress:
        drawn = sample(folder, count=wanted, seed=seed, progress=progress)
    count = calibration_count or max(1, min(CALIBRATION_COUNT, len(drawn.paths) // 2))
    if len(drawn.paths) <= count:
        raise SourceError(
            f"{folder}: expected more than the {count} images for calibration, to judge the result "
            f"on others, found {len(drawn.paths)}; add images or lower --count"
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


def convert(reference: ModelFile, images: Images, recipe: Recipe, *, budget: Budget) -> Conversion:
    """Quantise, judge against the budget, and return the result with all that was tried.

    The quantised file carries its accuracy in its manifest, whether it passes or not.
    """
    started = time.monotonic()
    with bar("quantise") as progress:
        quantized = quantize_file(reference, images.calibration, recipe, progress=progress)
    bill = judge(reference, quantized, images, seed=images.calibration.seed)
    manifest = quantized.manifest.model_copy(update={"accuracy": bill.accuracy})
    attempt = Attempt(
        what=f"recipe {recipe.name}",
        recipe=recipe,
        bill=bill,
        faults=tuple(faults(bill, budget)),
        elapsed_s=time.monotonic() - started,
    )
    return Conversion(reference, export.sealed(quantized, manifest), images, (attempt,), chosen=0)
