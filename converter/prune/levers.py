"""Which lever makes a model faster at the least loss: channels, ranks, a smaller input, or two."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from converter.judge.agreement import match
from converter.judge.kinds import KINDS
from converter.judge.sight import DIAGONALS, Views
from converter.prune.choosing import (
    BEST,
    BOTH,
    CHANNELS,
    DRAWS,
    INPUT,
    RANK,
    TIE,
    Ways,
    first_as_near,
)
from converter.prune.inputs import inputs
from converter.prune.pruning import ROUNDS, Pruned, Pruner, check_count
from converter.prune.resizing import with_input
from converter.prune.searching import HELD_BACK, LOOKS, NEAR
from converter.prune.splitting import Splitter
from converter.prune.stages import NOT_KEPT
from converter.quantize.quantization import refuse_quantized
from converter.quantize.running import prepared
from edge.errors import ModelError
from edge.terminal.progress import bar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from converter.prune.criteria import Criterion
    from converter.prune.measures import Measure, Target
    from converter.prune.stages import Stages
    from edge.model.model_file import ModelFile
    from edge.results.observation import Result

T = TypeVar("T")

# Smaller inputs that are looked at as well: how the images fall on the cells makes more of a
# difference than a step, so that yolov3-tiny is nearer at 384x320 than at 416x320.
SMALLER = 4
# Of its input, by which images move for what boxes are compared with: half a cell of 8 pixels, a
# quarter of one of 16 and three eighths of one of 32.
MOVE_PX = 12


class Levers:
    """All ways to make one model faster.

    Args:
        file: Float, of ours.
        images: Plain ones; of those that nothing is fitted to, a lever is chosen by.
        criterion: Of the channels.
        rounds: Of cutting them.
        stages: What an interrupted run did already.

    Attributes:
        file: The same.

    Raises:
        ModelError: It is quantised.
        SourceError: There are too few images.
    """

    def __init__(
        self,
        file: ModelFile,
        images: Sequence[Path],
        *,
        criterion: Criterion | None = None,
        rounds: int = ROUNDS,
        stages: Stages = NOT_KEPT,
    ) -> None:
        refuse_quantized(file)
        check_count(images)
        self.file, self._images = file, images
        self._criterion, self._rounds, self._stages = criterion, rounds, stages
        self._made: dict[str, NDArray[np.float64]] = {}
        self._pruners: dict[tuple[int, int], Pruner] = {}
        self._splitters: dict[tuple[int, int], Splitter] = {}

    def pull(self, target: Target, *, lever: str = BEST) -> tuple[Pruned, tuple[str, ...]]:
        """Return the model made faster, and a line on each way that was tried.

        Raises:
            ModelError: No way reaches it.
        """
        found = self.ways(target, lever=lever)
        return found.made[found.best], found.lines()

    def ways(self, target: Target, *, lever: str = BEST) -> Ways:
        """Return all that a lever makes for a target; `BEST` pulls each alone and both.

        Raises:
            ModelError: No way reaches it.
        """
        looks = prepared(self._images[:LOOKS], self.file.description.input)
        measure, asked = target.measured(self.file, looks)
        # Of a latency it is measured, and another time it would be another.
        times = float(self._once(f"{target.key}-times", lambda: asked))
        ways: dict[str, Callable[[], Pruned]] = {
            CHANNELS: lambda: self._pruner(self.file).prune(measure, times, rounds=self._rounds),
            RANK: lambda: self._splitter(self.file).split(measure, times),
            INPUT: lambda: self.shrunk(measure, times),
            BOTH: lambda: self._both(measure, times),
        }
        found = {name: tried(ways[name]) for name in (ways if lever == BEST else (lever,))}
        made = {name: done for name, done in found.items() if isinstance(done, Pruned)}
        refused = {name: done for name, done in found.items() if isinstance(done, ModelError)}
        if not made:
            raise next(iter(refused.values()))
        several = made if len(made) > 1 else {}
        lost = {name: self._draws(done.file) for name, done in several.items()}
        return Ways(made, refused, lost)

    def shrunk(self, measure: Measure, times: float) -> Pruned:
        """Return the model at an input at which it takes so many times less.

        It is the largest such input, or one of the next smaller ones at which the model sees surely
        more nearly what it sees at its own.

        Raises:
            ModelError: It has one size of input, or none is small enough.
        """
        first = self._largest(measure, times)
        lost = {}
        for size in self._sizes[first : first + 1 + SMALLER]:
            made = tried(partial(with_input, self.file, size))
            if isinstance(made, ModelError):  # too small for a layer, as are all that follow
                break
            lost[size] = self._draws(made)
        return self._at(measure, first_as_near(lost))

    def _largest(self, measure: Measure, times: float) -> int:
        """Return which input is the largest at which the model takes so many times less."""
        low, most = 1, 1.0
        sizes, reached = self._sizes, None
        high = len(sizes)
        while low < high:  # gains rise as sides fall, until a layer has nothing left to read
            middle = (low + high) // 2
            gain = tried(partial(self._gain_at, measure, sizes[middle]))
            if isinstance(gain, ModelError) or gain > times * (1 - NEAR):
                high, reached = middle, gain
            else:
                low, most = middle + 1, gain
        if isinstance(reached, ModelError) and low == 1:
            raise reached
        if reached is None or isinstance(reached, ModelError):
            raise ModelError(
                f"{self.file.path}: expected {times:g} {measure.what} to be in reach, found "
                f"{most:.2f} at its least input; ask for less"
            )
        return low

    def _at(self, measure: Measure, size_wh: tuple[int, int]) -> Pruned:
        made, gain = with_input(self.file, size_wh), self._gain_at(measure, size_wh)
        step = f"{made.own_manifest().provenance.steps[-1]}: {gain:.2f} {measure.what}"
        return Pruned(made, step, gain, measure.what)

    def _both(self, measure: Measure, times: float) -> Pruned:
        """Return the model at an input about half of the way, and layers of lower rank there.

        Where no layer can be split, channels go.
        """
        small = self._at(measure, self._sizes[self._largest(measure, times**0.5)])
        if small.gain > times * (1 - NEAR):
            raise ModelError(
                f"{self.file.path}: no input lies between, the input alone reaches it; choose "
                "--lever input"
            )
        done = tried(lambda: self._splitter(small.file).split(measure, times, start=small.gain))
        if isinstance(done, ModelError):
            pruner = self._pruner(small.file)
            done = pruner.prune(measure, times, rounds=self._rounds, start=small.gain)
        return replace(done, step=f"{small.step}; {done.step}")

    @cached_property
    def _sizes(self) -> list[tuple[int, int]]:
        return inputs(self.file, self._images)

    def _gain_at(self, measure: Measure, size_wh: tuple[int, int]) -> float:
        name = f"{measure.what.split()[-1]}-at-{size_wh[0]}x{size_wh[1]}"
        return float(self._once(name, lambda: measure.gain(with_input(self.file, size_wh))))

    def _pruner(self, file: ModelFile) -> Pruner:
        size = file.description.input.size_wh
        if size not in self._pruners:
            self._pruners[size] = Pruner(
                file, self._images, criterion=self._criterion, stages=self._stages,
                name=f"{size[0]}x{size[1]}-",
            )  # fmt: skip
        return self._pruners[size]

    def _splitter(self, file: ModelFile) -> Splitter:
        size = file.description.input.size_wh
        if size not in self._splitters:
            self._splitters[size] = Splitter(
                file, self._images, stages=self._stages, name=f"{size[0]}x{size[1]}-"
            )
        return self._splitters[size]

    def _once(self, name: str, make: Callable[[], ArrayLike]) -> NDArray[np.float64]:
        """Return numbers that were made before, maybe by an interrupted run, or make them."""
        if name not in self._made:
            made = self._stages.arrays(name, lambda: {"value": np.asarray(make())})
            self._made[name] = made["value"]
        return self._made[name]

    @cached_property
    def _views(self) -> tuple[Views, list[Sequence[Result]]]:
        """What the whole model sees of images that nothing is fitted to, and what to see again.

        That of boxes is what it sees of the images moved by parts of a cell: boxes of another grid
        lie elsewhere by as much as two grids differ, so that without it a lever which keeps the
        input would be compared on the very grid, and one which does not on another.
        """
        view = Views(self.file)
        with bar("compare") as progress:
            view.add(self._images[: len(self._images) // HELD_BACK], progress=progress)
        if not KINDS[view.task].counted:
            return view, [view.seen]
        with bar("compare") as progress:
            moved = view.moved(len(DIAGONALS), step_px=MOVE_PX, progress=progress)
        return view, [*moved]

    def _draws(self, file: ModelFile) -> NDArray[np.float64]:
        """Return `_lost`, made once of each file."""
        digest = file.description.digest.rpartition(":")[2]
        return self._once(f"draws-{digest}", lambda: self._lost(file))

    def _lost(self, file: ModelFile) -> NDArray[np.float64]:
        """Return how far what a model sees is from what the whole one sees, as `Ways.lost`."""
        whole, wanted = self._views
        view = Views(file)
        with bar("compare") as progress:
            view.add(whole.paths, progress=progress)
        sure, count = self.file.description.score_threshold, len(whole.paths)
        rows = (*wanted, whole.seen)
        found = [match(row, view.seen, task=whole.task, sure=sure) for row in rows]
        # The same draws for each lever, so that what is hard for all is in no difference.
        draws = np.sort(np.random.default_rng(0).integers(0, count, (DRAWS, count)))
        far = np.nan_to_num([
            [one.distance(chosen) for one in found] for chosen in (np.arange(count), *draws)
        ])  # (1 + DRAWS, wanted and the own grid)  # fmt: skip
        return np.asarray(far[:, :-1].mean(axis=1) + TIE * far[:, -1])


def tried(way: Callable[[], T]) -> T | ModelError:
    """Return what a way makes, or why it does not reach its target."""
    try:
        return way()
    except ModelError as error:
        return error
