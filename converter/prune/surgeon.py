"""Which channels of a group go first: those that the others can stand in for.

Removing a channel and refitting all weights that are left, by least squares on what the readers
multiplied, costs an error that is known in closed form; so does the refit. The channel of the least
error goes, and so on.

Source: Hassibi and Stork 1992, "Second order derivatives for network pruning: Optimal Brain
Surgeon", eq. 5, for one weight; Kurtic et al. 2023, "ZipLM: Inference-Aware Structured Pruning of
Language Models", section 3.1, for rows that go together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from converter.prune.channels import Group
    from converter.prune.reading import Moments, Reader
    from converter.prune.tracing import Ids

    Array = NDArray[np.float32]

# Of the mean variance, added to each: keeps the inverse sane, and weights near what they were.
RIDGE = 0.01
# Channels that go between two looks at which are the least, as a share of those that are left.
STRIDE = 1 / 16
TINY = 1e-12


class Uneven(ValueError):  # noqa: N818 - no fault: such a reader tells nothing of the group
    """Channels of a group are read unlike often."""


class Sheet:
    """The weights of one reader while channels of a group are taken from it.

    Args:
        reader: Of some channels of the group.
        seen: What it multiplies.
        group: Whose channels go.

    Raises:
        Uneven: It reads some of them more often than others.
    """

    def __init__(self, reader: Reader, seen: Moments, group: Group) -> None:
        self._reader, self._mean = reader, seen.mean
        order = np.argsort(reader.ids, kind="stable")
        first, last = (
            np.searchsorted(reader.ids[order], group.ids, side=side) for side in ("left", "right")
        )
        widths = last - first
        if not widths[0] or (widths != widths[0]).any():
            raise Uneven
        self._rows: Ids = order[first[:, None] + np.arange(widths[0])]  # (N, k)
        covariance = seen.covariance.copy()
        size = len(covariance)
        covariance[np.diag_indices(size)] += max(RIDGE * float(np.trace(covariance)) / size, TINY)
        self._weights = reader.weights.copy()  # (d, O)
        self._power = float((self._weights * (covariance @ self._weights)).sum())
        # Of the rows that are left; and where each row of the weights stands among them.
        self._inverse = np.linalg.inv(covariance)
        self._places = np.arange(size)

    def costs(self, left: Ids) -> NDArray[np.float64]:
        """Return the error that each channel would cost, over the power of the output, `(n,)`."""
        rows = self._rows[left]
        places, own = self._places[rows], self._weights[rows]  # (n, k), (n, k, O)
        blocks = np.linalg.inv(self._inverse[places[:, :, None], places[:, None, :]])  # (n, k, k)
        found = (blocks * (own @ own.swapaxes(1, 2))).sum(axis=(1, 2), dtype=np.float64)
        return np.asarray(found / max(self._power, TINY))

    def take_inplace(self, gone: Ids) -> None:
        """Take channels away, and refit what is left."""
        rows = self._rows[gone].reshape(-1)
        falls = np.zeros(len(self._inverse), bool)
        falls[self._places[rows]] = True
        left = np.flatnonzero(self._places >= 0)  # their places rise
        rows, left = left[falls], left[~falls]
        column = self._inverse[np.ix_(~falls, falls)]
        own = self._inverse[np.ix_(falls, falls)]
        solved = np.linalg.solve(own, np.hstack([self._weights[rows], column.T]))
        count = self._weights.shape[1]
        self._weights[left] -= column @ solved[:, :count]
        self._weights[rows] = 0
        self._inverse = self._inverse[np.ix_(~falls, ~falls)]
        self._inverse -= column @ solved[:, count:]
        self._places[rows] = -1
        self._places[left] = np.arange(len(left))

    def values(self, kept: NDArray[np.bool_]) -> dict[str, Array]:
        """Return the refitted weights and bias by the names of their tensors.

        Args:
            kept: Which of the `(d,)` rows stay.
        """
        shift = self._mean @ (self._reader.weights - self._weights)
        return self._reader.values(self._weights[kept], shift=shift)


def taken(
    group: Group,
    sheets: Sequence[Sheet],
    counts: Sequence[int],
    *,
    worth: NDArray[np.float64] | None = None,
) -> Iterator[NDArray[np.bool_]]:
    """Take channels away until so many are left, and so many, falling; yield what stays each time.

    The sheets' weights hold until the next one. Without a sheet the last ones go first.

    Args:
        group: Whose channels.
        sheets: Of all that read them.
        counts: How many are left.
        worth: `(N,)` of the channels, the least goes first; `None` asks the sheets.
    """
    left = np.arange(len(group))
    for count in counts:
        while len(left) > count:
            costs = (
                sum((sheet.costs(left) for sheet in sheets), np.zeros(len(left)))
                if worth is None
                else worth[left]
            )
            many = min(len(left) - count, max(1, int(len(left) * STRIDE)))
            worst = np.argsort(costs, kind="stable")[:many]
            for sheet in sheets:
                sheet.take_inplace(left[worst])
            left = np.delete(left, worst)
        kept = np.zeros(len(group), bool)
        kept[left] = True
        yield kept
