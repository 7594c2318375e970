"""Filters and feature maps of a float model, with the dead ones: what to look at before pruning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calibration.observe import TappedModel
from converter.graph.fusing import WEIGHTED
from converter.graph.reading import read
from edge.capture.images import load_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.model.model_file import ModelFile
    from edge.terminal.progress import Progress

# What a channel's output spans, of the median of its layer's channels, at and below which it says
# nothing; likewise the norm of its weights.
DEAD_RATIO = 1e-3
WEAK_RATIO = 1e-2
KERNEL_AXES = 4


@dataclass(frozen=True, slots=True)
class LayerFeatures:
    """One convolution of the float model, its filters and what they answer.

    Attributes:
        name: Of the tensor that it computes.
        op: Its kind, such as `CONV_2D`.
        kernels: `(C, h, w, I)` float32, weights by output channel; I is 1 if depthwise.
        norms: `(C,)` float64, L2 norm of each output channel's weights.
        spans: `(C,)` float64, greatest minus least value of each output channel over the images.
        maps: `(H, W, C)` float32, the output on the first image.
    """

    name: str
    op: str
    kernels: NDArray[np.float32]
    norms: NDArray[np.float64]
    spans: NDArray[np.float64]
    maps: NDArray[np.float32]

    @property
    def dead(self) -> tuple[int, ...]:
        """Channels whose output hardly changes."""
        return low_channels(self.spans, ratio=DEAD_RATIO)

    @property
    def weak(self) -> tuple[int, ...]:
        """Channels whose weights are next to nothing."""
        return low_channels(self.norms, ratio=WEAK_RATIO)


def observe_features(
    file: ModelFile, images: Sequence[Path], *, progress: Progress | None = None
) -> tuple[LayerFeatures, ...]:
    """Run a float model on images and return its convolutions, in the order in which they run.

    Raises:
        ModelError: The model is not a float model.
        SourceError: An image cannot be read.
    """
    filters = dict(_filters(file))
    model = TappedModel(file.flatbuffer, file.description.input)
    maps: dict[str, NDArray[np.float32]] = {}
    lows: dict[str, NDArray[np.float32]] = {}
    highs: dict[str, NDArray[np.float32]] = {}
    for done, path in enumerate(images, start=1):
        for name, values in model.run(load_image(path)):
            if name not in filters:
                continue
            channels = values.reshape(-1, values.shape[-1])  # (H * W, C)
            low, high = channels.min(axis=0), channels.max(axis=0)
            maps.setdefault(name, values[0])
            lows[name] = np.minimum(lows.get(name, low), low)
            highs[name] = np.maximum(highs.get(name, high), high)
        if progress:
            progress(done, len(images))
    found = []
    for name, (kind, kernels) in filters.items():
        norms = np.sqrt(np.square(kernels, dtype=np.float64).sum(axis=(1, 2, 3)))
        spans = (highs[name] - lows[name]).astype(np.float64)
        found.append(LayerFeatures(name, kind, kernels, norms, spans, maps[name]))
    return tuple(found)


def low_channels(values: NDArray[np.float64], *, ratio: float) -> tuple[int, ...]:
    """Return the channels whose value is at most `ratio` times the layer's median, or zero.

    Where more than half are zero the median says nothing; the mean of the others serves instead.
    """
    others = values[values > 0]
    usual = float(np.median(values)) or (float(others.mean()) if len(others) else 0.0)
    return tuple(int(channel) for channel in np.flatnonzero(values <= ratio * usual))


def choose_layers(layers: Sequence[LayerFeatures], *, count: int) -> list[LayerFeatures]:
    """Return the first layer, those with the largest share of dead channels, and others spread."""
    if len(layers) <= count:
        return list(layers)
    dead_ratios = [len(layer.dead) / len(layer.spans) for layer in layers]
    by_dead = sorted(range(len(layers)), key=lambda index: -dead_ratios[index])
    chosen = {0} | {index for index in by_dead[: count // 2] if dead_ratios[index]}
    spread = np.linspace(0, len(layers) - 1, count).round().astype(int)
    for index in (*spread, *range(len(layers))):
        if len(chosen) < count:
            chosen.add(int(index))
    return [layers[index] for index in sorted(chosen)]


def _filters(file: ModelFile) -> Iterator[tuple[str, tuple[str, NDArray[np.float32]]]]:
    """Yield the name, op and kernels of the convolutions whose weights are float32 constants."""
    graph = read(file.flatbuffer, file.path)
    for op in graph.ops:
        # A transposed convolution reads its output shape first: its weights stand second too.
        if op.kind not in WEIGHTED:
            continue
        at, _, axis = WEIGHTED[op.kind]
        weights = graph.value(op.inputs[at])
        if weights is None or weights.dtype != np.float32 or weights.ndim != KERNEL_AXES:
            continue
        kernels = np.moveaxis(weights, axis, 0)
        if op.kind == "DEPTHWISE_CONV_2D":
            kernels = np.moveaxis(kernels, 1, -1)  # (C, h, w, 1)
        yield op.output, (op.kind, kernels)
