"""MobileNetV2, the body of several nets, and its weights: those of the detector that ships.

Source: Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", table 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from converter.graph.reading import read
from converter.train.nets.layers import convolutions, multiple
from edge.model.default import default_model_path
from edge.model.model_file import read_own

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from converter.graph.values import Graph
    from converter.train.nets.layers import Layers

# Expansion, channels, blocks, stride of the first.
BLOCKS = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
    (6, 320, 1, 1),
)  # fmt: skip
STEM, LAST = 32, 1280


def mobilenet_v2(net: Layers, x: str, *, width: float = 1.0, last: bool = True) -> dict[int, str]:
    """Add it; return by stride 2, 4, 8, 16 what is expanded there last, and at 32 its end.

    Args:
        net: To add it to.
        x: What it reads.
        width: Factor of all channels.
        last: Whether the end is the convolution to 1,280 channels; else the 320 before it.
    """
    taps: dict[int, str] = {}
    x = net.conv(x, multiple(STEM * width), stride=2, activation="RELU6")
    stride = 2
    for expansion, channels, blocks, first in BLOCKS:
        for number in range(blocks):
            step = first if number == 0 else 1
            wide = x
            if expansion > 1:
                wide = net.conv(x, net.shape(x)[3] * expansion, kernel=1, activation="RELU6")
            if step > 1:
                taps[stride] = wide
                stride *= step
            made = net.conv(
                net.depthwise(wide, stride=step), multiple(channels * width), kernel=1,
                activation="NONE",
            )  # fmt: skip
            same = step == 1 and net.shape(made) == net.shape(x)
            x = net.b.binary("ADD", x, made) if same else made
    # Wider than 1 only: a thin net keeps a whole last layer. Source: section 5.
    end = multiple(LAST * max(1.0, width))
    taps[stride] = net.conv(x, end, kernel=1, activation="RELU6") if last else x
    return taps


def trained(file: Path | None = None) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yield filters and biases of the SSDLite-MobileNetV2 that was trained on COCO, heads left out.

    By default they are what the 8 bits of the shipped model stand for: the weights are rounded by
    at most half a 127th of their channel's largest, which a few steps of training make up for.

    Args:
        file: Another such model of ours, say its float original that `edge-convert run --float`
            kept; `None` for the shipped one.
    """
    path = file or default_model_path()
    graph = read(read_own(path).flatbuffer, path)
    yield from convolutions(graph, _heads(graph))


def _heads(graph: Graph) -> set[str]:
    """Return the outputs of the convolutions that only make boxes or scores."""
    flat = [op.inputs[0] for op in graph.ops if op.kind == "RESHAPE"]
    last = [graph.producers[name] for name in flat if name in graph.producers]
    found = {op.output for op in last}
    return found | {
        op.inputs[0] for op in last
        if op.kind == "CONV_2D" and graph.producers[op.inputs[0]].kind == "DEPTHWISE_CONV_2D"
    }  # fmt: skip
