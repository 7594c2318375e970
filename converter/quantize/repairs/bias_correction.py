"""Take the mean error of rounded weights out of each convolution's bias.

Rounding a channel's weights to int8 shifts its output by ``sum((Q(w) - w) * x)``; behind a ReLU6
the x are all positive, so the shift does not average out. Measured on SSDLite-MobileNetV2: about
half of the squared error of the first blocks is such a shift, and correcting it more than halves
the loss of mAP.

Source: Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction",
section 4.2, with the means observed on the calibration set.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from converter.graph.edits import with_values
from converter.quantize.repairs.weights import convolutions, rounding_error

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.graph.values import Graph
    from converter.quantize.repairs.weights import Convolution

    Means = dict[str, NDArray[np.float64]]


class ChannelMeans:
    """An observer of the mean of each channel (last axis) of each computed tensor."""

    def __init__(self) -> None:
        self._totals: Means = {}
        self._counts: Counter[str] = Counter()

    def see(self, name: str, values: NDArray[np.float32], *, path: Path) -> None:  # noqa: ARG002
        """Add what a tensor held; a scalar or an empty one has no channels."""
        if values.ndim == 0 or not values.size:
            return
        # One axis is added up in float32, which halves the time; the others in float64.
        rows = values.reshape(-1, *values.shape[-2:]).sum(axis=-2)  # (N, C), or (C,)
        mean = rows.reshape(-1, values.shape[-1]).sum(axis=0, dtype=np.float64)  # (C,)
        mean *= values.shape[-1] / values.size
        self._totals[name] = self._totals[name] + mean if name in self._totals else mean
        self._counts[name] += 1

    def means(self) -> Means:
        """Return the `(C,)` float64 means over all images, by tensor name."""
        return {name: total / self._counts[name] for name, total in self._totals.items()}


def correct_biases(
    graph: Graph,
    means: Means,
    *,
    rounded: Graph | None = None,
    skip: frozenset[str] = frozenset(),
) -> Graph:
    """Return the float graph whose biases make up for the int8 rounding of its weights.

    Only to be quantised with int8 weights per channel: as a float model it is off by the shift.

    Args:
        graph: The float model.
        means: Of the input of each convolution, by tensor name.
        rounded: The same model, its weights rounded already in a way of their own: it is what gets
            the biases. Without it weights go to the nearest of their levels.
        skip: Output tensors of the ops whose weights will not be rounded.
    """
    target = rounded or graph
    values: dict[str, NDArray[np.float32]] = {}
    for before, after in zip(convolutions(graph), convolutions(target), strict=True):
        if before.name in skip:
            continue
        nearest = after.weights + rounding_error(after.weights, after.shared_axes)
        shift = mean_shift(before, nearest - before.weights, means[before.source])
        values |= after.values(bias=before.bias - shift)
    return with_values(target, values)


def mean_shift(
    convolution: Convolution, error: NDArray[np.float32], mean: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean shift `(O,)` of an output for an error of the weights, input mean `(C,)`.

    Depthwise with a depth multiplier m, output o reads input o // m; with g groups, the outputs of
    group k read the k-th of g equal parts of the input.
    """
    shift: NDArray[np.float64]
    if convolution.is_depthwise:
        taps = error.sum((0, 1, 2))  # (O,)
        shift = taps * np.repeat(mean, len(taps) // len(mean))
    else:
        taps = error.sum((1, 2))  # (O, I)
        parts = mean.reshape(-1, taps.shape[1])  # (g, I)
        shift = (taps * np.repeat(parts, len(taps) // len(parts), axis=0)).sum(axis=1)
    return shift
