"""How badly an autoencoder knows one frame: its reconstruction error, and where it lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One frame against its reconstruction; errors are mean squares in the model's own units.

    Attributes:
        error: Over the whole frame, >= 0.
        threshold: From which on a frame is an anomaly; the head's.
        heat: `(rows, columns)` float32, the error of each cell of a grid over the whole frame.
    """

    error: float
    threshold: float
    heat: NDArray[np.float32]

    @property
    def is_anomaly(self) -> bool:
        """Whether the error reaches the threshold."""
        return self.error >= self.threshold

    def copy(self) -> Anomaly:
        """Return the same in an array of its own."""
        return Anomaly(self.error, self.threshold, self.heat.copy())


class AnomalyTally:
    """Counts the anomalies of a run."""

    def __init__(self) -> None:
        self._frames = 0
        self._anomalies = 0
        self._highest = 0.0

    def add(self, result: Anomaly) -> None:
        """Count one frame."""
        self._frames += 1
        self._anomalies += result.is_anomaly
        self._highest = max(self._highest, result.error)

    def text(self) -> str:
        """Return the count in words."""
        return (
            f"{self._anomalies} of {self._frames} frames are anomalies, highest error "
            f"{self._highest:.4g}"
        )
