"""What was tried to quantise a model, judged on the images to choose by, and what to prefer."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from converter.judge.gate import is_clear, is_good_enough
from converter.judge.sight import Views
from converter.judge.verify import compare
from converter.quantize.quantization import quantize_observed
from converter.search.auto_repair import free_repairs, kept_layers, search_fewest
from converter.search.sensitivity import layer_errors
from edge.errors import ModelError, SourceError
from edge.terminal.progress import bar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from converter.judge.bill import Bill
    from converter.judge.gate import Budget
    from converter.quantize.observations import Observations
    from converter.quantize.recipe import Recipe
    from edge.model.model_file import ModelFile

    Maker = Callable[[Observations, Recipe], ModelFile]

# Of draws of the images to choose by; each takes 3 ms.
RESAMPLES = 100
TRAINED = "training for int8"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way that was tried to quantise the model.

    Attributes:
        what: It differs in from the recipe asked for, a clause for people.
        recipe: That made it.
        bill: Of its result on the images to choose by; `None` where it cannot be made.
        fault: Why it is not good enough, or why there is none; empty where it is.
        elapsed_s: Of quantising and comparing it.
    """

    what: str
    recipe: Recipe
    bill: Bill | None
    fault: str
    elapsed_s: float

    @property
    def figure(self) -> str:
        """What it was chosen by, in words; or why there is nothing to choose."""
        return self.fault if self.bill is None else f"distance {self.bill.likeness.distance:.3f}"


def merit(attempt: Attempt) -> tuple[bool, int, float]:
    """Return what to prefer: what is good enough, the fewest layers float; else the nearest."""
    if attempt.bill is None:
        return False, 0, -math.inf
    is_fine = not attempt.fault
    kept = len(attempt.recipe.keep_float.names) if is_fine else 0
    distance = attempt.bill.likeness.distance
    return is_fine, -kept, -1.0 if math.isnan(distance) else -distance


class Trials:
    """All attempts at one model, and what they made.

    Args:
        observations: Of the float model.
        images: To choose by, before those that were observed.
        budget: What is allowed.

    Attributes:
        attempts: In the order in which they were run.
        files: What each made; of one that failed, what the first made.
    """

    def __init__(
        self, observations: Observations, images: tuple[Path, ...], budget: Budget
    ) -> None:
        self.observations = observations
        self.attempts: list[Attempt] = []
        self.files: list[ModelFile] = []
        self._few = images
        # Ranges hardly fit the images that they come from, and 40 are few to choose by: on those of
        # COCO Yolo-Fastest's plain int8 stood at 1.4 times the noise floor, on all 89 at 2.2.
        self._all = (*images, *observations.images.paths)
        self._budget = budget
        # Not loaded before there is something to compare: a quantiser's child needs the memory.
        self._reference: Views | None = None

    @property
    def passed(self) -> bool:
        """Whether the last attempt is good enough."""
        return not self.attempts[-1].fault

    @property
    def best(self) -> int:
        """The index of the attempt to deliver: the one that is good enough, or comes nearest."""
        return max(range(len(self.attempts)), key=lambda index: merit(self.attempts[index]))

    def run(self, what: str, recipe: Recipe, make: Maker = quantize_observed) -> bool:
        """Quantise and compare once more; return whether that is good enough."""
        started = time.monotonic()
        try:
            with bar("observe") as self.observations.progress:
                file = make(self.observations, recipe)
        except (ModelError, SourceError) as error:
            # Without a first result there is nothing to deliver, and nothing to repair.
            if not self.attempts:
                raise
            elapsed_s = time.monotonic() - started
            self._add(Attempt(what, recipe, None, str(error), elapsed_s), self.files[0])
            return False
        bill = self._compare(file)
        fault = self._fault(bill)
        self._add(Attempt(what, recipe, bill, fault, time.monotonic() - started), file)
        return not fault

    def repair(self, recipe: Recipe, train: Maker | None = None) -> None:
        """Try other ways, the cheapest on the board first, until one is good enough.

        Other calibrators and repairs of the weights, then training for int8 if it is given, then
        the worst layers kept float, the fewest that do.
        """
        for what, other in free_repairs(recipe):
            if self.run(what, other):
                return
        # Layers are kept float of the float model's own weights, not of trained ones.
        file, best = self.files[self.best], self.attempts[self.best].recipe
        if train and self.run(TRAINED, best, train):
            return
        observed = self.observations
        base = observed.graph(equalised="equalisation" in best.repairs)
        with bar("layers", unit="layers") as progress:
            errors = layer_errors(
                observed.file, file, observed.images.paths, base=base, progress=progress
            )
        steps = kept_layers(best, observed.graph(equalised=False), errors)
        search_fewest(len(steps), lambda count: self.run(*steps[count - 1]))

    def _compare(self, file: ModelFile) -> Bill:
        reference = self._reference = self._reference or Views(self.observations.file)
        candidate = Views(file)
        if not self.attempts:
            bill = self._bill(reference, candidate, self._few)
            if is_clear(bill, self._budget):
                return bill
        if not reference.shifted:
            with bar("noise") as progress:
                reference.add(self._all[len(reference.paths) :])
                reference.move(1, progress=progress)
        return self._bill(reference, candidate, self._all)

    @staticmethod
    def _bill(reference: Views, candidate: Views, images: tuple[Path, ...]) -> Bill:
        with bar("compare") as progress:
            for views in (reference, candidate):
                views.add(images[len(views.paths) :], progress=progress)
        (bill,) = compare(reference, [candidate], resamples=RESAMPLES)
        return bill

    def _fault(self, bill: Bill) -> str:
        if is_good_enough(bill, self._budget):
            return ""
        limit = self._budget.limit(bill)
        return f"its distance is {bill.likeness.distance:.3f}, surely below {limit:.3f} is wanted"

    def _add(self, attempt: Attempt, file: ModelFile) -> None:
        self.attempts.append(attempt)
        self.files.append(file)
