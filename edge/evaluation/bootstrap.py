"""How far a metric would move with other images: a bootstrap, paired for several models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.terminal.progress import Progress

RESAMPLES = 1000
# Draws without any object are drawn again, but not for ever.
MAX_EMPTY_DRAWS = 20


class Sample(Protocol):
    """One model's results on a set of images, ready to be judged on any choice of them."""

    @property
    def image_count(self) -> int:
        """N."""

    def values(self, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return `(M,)`, the metrics on the chosen images; NaN where they show no object."""


def bootstrap(
    samples: Sequence[Sample], *, seed: int, resamples: int, progress: Progress | None = None
) -> NDArray[np.float64]:
    """Return each model's metrics on each draw of images, the draws shared.

    A draw without any object is drawn again.

    Args:
        samples: One for each model, of the same images.
        seed: Of the draws.
        resamples: Number of draws.
        progress: Called with (draws done, draws wanted).

    Returns:
        `(resamples, models, M)` float64; NaN where there are next to no objects to draw.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13 (percentiles).
    """
    random = np.random.default_rng(seed)
    count = samples[0].image_count
    rows: list[Any] = []
    spare = MAX_EMPTY_DRAWS * resamples
    while len(rows) < resamples:
        chosen = np.sort(random.integers(0, count, count))
        row = [sample.values(chosen) for sample in samples]
        if not np.isnan(row).any() or spare <= 0:
            rows.append(row)
            if progress:
                progress(len(rows), resamples)
        spare -= 1
    return np.array(rows)
