"""What a classifier says of one frame: its likeliest classes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

MOST_FREQUENT = 5  # that the summary of a run names


@dataclass(frozen=True, slots=True)
class Classes:
    """`N` classes of a whole frame, by falling score, then by rising id; none below the threshold.

    Attributes:
        class_ids: `(N,)` int32, indices into the description's labels.
        scores: `(N,)` float32 in [0, 1].

    Raises:
        ValueError: The shapes do not match each other.
    """

    class_ids: NDArray[np.int32]
    scores: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.class_ids.shape != self.scores.shape:
            raise ValueError(
                f"class_ids must have shape {self.scores.shape} to match scores, got "
                f"{self.class_ids.shape}"
            )

    def __len__(self) -> int:
        return len(self.scores)

    def copy(self) -> Classes:
        """Return the same in arrays of their own."""
        return Classes(self.class_ids.copy(), self.scores.copy())


class ClassTally:
    """Counts the frames of a run by their likeliest class.

    Args:
        labels: Text of each class id.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = labels
        self._frames: Counter[int | None] = Counter()

    def add(self, result: Classes) -> None:
        """Count one frame."""
        self._frames[int(result.class_ids[0]) if len(result) else None] += 1

    def text(self) -> str:
        """Return the most frequent classes in words."""
        named = [
            f"{'no class' if each is None else self._labels[each]} in {count} frames"
            for each, count in self._frames.most_common(MOST_FREQUENT)
        ]
        return ", ".join(named) or "no frames"
