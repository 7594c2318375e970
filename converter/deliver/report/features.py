"""Filters and feature maps of a float model, with the dead ones: what to look at before pruning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calibration.observe import TappedModel
from converter.deliver.report.contents import LayerFeatures
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
# Op to the axis of its weights that counts output channels.
CHANNEL_AXES = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "TRANSPOSE_CONV": 0}
KERNEL_AXES = 4


@dataclass(frozen=True, slots=True)
class _Filter:
    name: str
    op: str
    kernels: NDArray[np.float32]


def observe_features(
    file: ModelFile, images: Sequence[Path], *, progress: Progress | None = None
) -> tuple[LayerFeatures, ...]:
    """Run a float model on images and return its convolutions, in the order in which they run.

    The feature maps are those of the first image.

    Raises:
        ModelError: The model is not a float model.
        SourceError: An image cannot be read.
    """
    filters = {layer.name: layer for layer in _filters(file)}
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
    return tuple(
        _layer(layer, spans=(highs[name] - lows[name]).astype(np.float64), maps=maps[name])
        for name, layer in filters.items()
    )


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
    by_dead = sorted(range(len(layers)), key=lambda index: -_dead_ratio(layers[index]))
    chosen = {0} | {index for index in by_dead[: count // 2] if layers[index].dead}
    spread = np.linspace(0, len(layers) - 1, count).round().astype(int)
    for index in (*spread, *range(len(layers))):
        if len(chosen) < count:
            chosen.add(int(index))
    return [layers[index] for index in sorted(chosen)]


def _dead_ratio(layer: LayerFeatures) -> float:
    return len(layer.dead) / len(layer.spans)


def _layer(
    layer: _Filter, *, spans: NDArray[np.float64], maps: NDArray[np.float32]
) -> LayerFeatures:
    flat = layer.kernels.reshape(len(layer.kernels), -1).astype(np.float64)  # (C, h * w * I)
    norms = np.sqrt((flat * flat).sum(axis=1))
    return LayerFeatures(
        name=layer.name,
        op=layer.op,
        norms=norms,
        spans=spans,
        dead=low_channels(spans, ratio=DEAD_RATIO),
        weak=low_channels(norms, ratio=WEAK_RATIO),
        kernels=layer.kernels,
        maps=maps,
    )


def _filters(file: ModelFile) -> Iterator[_Filter]:
    """Yield the convolutions whose weights are constants of float32."""
    graph = read(file.flatbuffer, file.path)
    for op in graph.ops:
        # A transposed convolution reads its output shape first: its weights stand second too.
        weights = graph.value(op.inputs[1]) if op.kind in CHANNEL_AXES else None
        if weights is None or weights.dtype != np.float32 or weights.ndim != KERNEL_AXES:
            continue
        kernels = np.moveaxis(weights, CHANNEL_AXES[op.kind], 0)
        if op.kind == "DEPTHWISE_CONV_2D":
            kernels = np.moveaxis(kernels, 1, -1)  # (C, h, w, 1)
        yield _Filter(op.output, op.kind, kernels)
