"""Whether a camera sees as it should: what a look at its picture found, and what that means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Cells = NDArray[np.float32]

HealthState = Literal["ok", "covered", "moved", "blurred", "dark", "frozen", "strange"]


@dataclass(frozen=True, slots=True)
class Look:
    """What one picture is like; owns its arrays.

    Attributes:
        colour: Mean difference of G from R, and of G from B, in sum; near 0 of a grey picture.
        clipped_ratio: Share of its pixels that are black or white.
        fine: Mean size of the Laplacian of the small picture: detail and noise.
        coarse: Mean step between cells: shapes.
        cells: `(3, 24, 32)` float32, means of each cell: grey, and the size of the steps along x
            and along y.
        is_frozen: The camera gives the same picture over and over.
    """

    colour: float
    clipped_ratio: float
    fine: float
    coarse: float
    cells: Cells
    is_frozen: bool = False

    @property
    def level(self) -> float:
        """Mean of its grey, 0 to 255."""
        return float(self.cells[0].mean())


@dataclass(frozen=True, slots=True)
class Health:
    """What a camera's pictures are like, and since when.

    Attributes:
        state: `ok`, or the trouble.
        reason: A sentence without its full stop; empty where there is nothing to say.
        since_utc_ns: Nanoseconds since the Unix epoch, UTC, when the state began.
    """

    state: HealthState
    reason: str
    since_utc_ns: int
