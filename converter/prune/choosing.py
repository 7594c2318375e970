"""The levers that make a model faster, and which of several is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from converter.prune.pruning import Pruned
    from edge.errors import ModelError

T = TypeVar("T")

BEST, CHANNELS, RANK, INPUT, BOTH = "best", "channels", "rank", "input", "both"
# What each changes, least first; in which part of so many draws of the images, with replacement, a
# lever must be the nearer one to be taken before one that changes less, and an input before a
# larger one.
SIMPLEST = (INPUT, RANK, BOTH, CHANNELS)
DRAWS, SURE = 200, 0.95
# Where nothing is found again once it moves, as what fills its cell, the very grid decides.
TIE = 1e-6


def first_as_near(lost: Mapping[T, NDArray[np.float64]]) -> T:
    """Return the first than which none sees surely more nearly what the whole model sees.

    Args:
        lost: As `Ways.lost`, what is to be preferred first.
    """
    nearest = min(lost.values(), key=lambda draws: float(draws[0]))
    return next(each for each, draws in lost.items() if np.mean(draws[1:] > nearest[1:]) < SURE)


@dataclass(frozen=True, slots=True)
class Ways:
    """What the levers make for one target.

    Attributes:
        made: By lever.
        refused: Why others do not reach it.
        lost: Of several, how far what each sees is from what the whole model sees, in [0, 1]:
            first on all images that nothing was fitted to, then on `DRAWS` draws of them.
    """

    made: Mapping[str, Pruned]
    refused: Mapping[str, ModelError]
    lost: Mapping[str, NDArray[np.float64]]

    @property
    def best(self) -> str:
        """The simplest lever than which none sees surely more nearly what the whole model sees."""
        if not self.lost:
            return next(iter(self.made))
        return first_as_near({name: self.lost[name] for name in SIMPLEST if name in self.lost})

    def lines(self) -> tuple[str, ...]:
        """Return what is to be said of each."""
        return (
            *(f"{name}: {str(error).partition(': ')[2]}" for name, error in self.refused.items()),
            *(
                f"{name}: {self.made[name].gain:.2f} {self.made[name].what}, distance "
                f"{loss[0]:.3f} from what the whole model sees{', taken' * (name == self.best)}"
                for name, loss in self.lost.items()
            ),
        )
