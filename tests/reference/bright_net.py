"""A tiny float SSD that finds bright squares, two of its filters dead by construction."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import factories
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from reference.tiny_net import Net

from edge.model.model_file import ModelFile
from edge.model.readers.manifest import digest_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SIDE, CELL, CHANNELS = 32, 8, 8
GRID = SIDE // CELL
COUNT = GRID * GRID
LABELS = ("square", "never")
# Of the stem: one whose weights are zero, one that the ReLU always cuts.
ZERO_CHANNEL, CUT_CHANNEL = 3, 5
# The raw score of "square" at brightness b is 24 b - 12; of all else -10.
SLOPE, OFFSET, NOTHING = 24.0, -12.0, -10.0
# Images are twice the net's input on a side, each cell a square of it.
IMAGE_CELL_PX = 2 * CELL


def build(offset: float = OFFSET, *, leaky: bool = False) -> bytes:
    """Return the net: stem (CONV_2D with ReLU), then boxes and scores, each a CONV_2D, flattened.

    `leaky` puts a LEAKY_RELU behind the stem, which litert-quantizer leaves float.

    Input `image` `(1, 32, 32, 3)`, outputs `boxes` `(1, 16, 4)` and `scores` `(1, 16, 3)`.
    """
    random = np.random.default_rng(3)
    net = Net()
    image = net.tensor("image", (1, SIDE, SIDE, 3))
    kernel = random.uniform(0.002, 0.01, (CHANNELS, CELL, CELL, 3)).astype(np.float32)
    kernel[0] = 1 / (CELL * CELL * 3)
    kernel[ZERO_CHANNEL] = 0
    bias = np.zeros(CHANNELS, np.float32)
    bias[CUT_CHANNEL] = -100
    stem = _conv(net, "stem", image, kernel, bias, relu=True)
    if leaky:
        options = schema.LeakyReluOptionsT()
        options.alpha = 0.1
        active = net.tensor("active", (1, GRID, GRID, CHANNELS))
        net.op("LEAKY_RELU", [stem], active, options)
        stem = active
    score_kernel = np.zeros((3, 1, 1, CHANNELS), np.float32)
    score_kernel[1, 0, 0, 0] = SLOPE
    # Not zero: litert-quantizer 0.11 loses the bias of a filter without weights.
    score_kernel[(0, 2), 0, 0, 1] = -0.1
    score_bias = np.array([NOTHING, offset, NOTHING], np.float32)
    raw_scores = _conv(net, "raw_scores", stem, score_kernel, score_bias)
    box_kernel = random.normal(0, 0.05, (4, 1, 1, CHANNELS)).astype(np.float32)
    raw_boxes = _conv(net, "raw_boxes", stem, box_kernel, np.zeros(4, np.float32))
    boxes = _flat(net, "boxes", raw_boxes, columns=4)
    scores = _flat(net, "scores", raw_scores, columns=3)
    return net.finish(image, {"boxes": boxes, "scores": scores})


def model_file(*, offset: float = OFFSET, leaky: bool = False, **changes: object) -> ModelFile:
    """Return the detector; `changes` are of its manifest."""
    flatbuffer = build(offset, leaky=leaky)
    fields = {
        "name": "bright",
        "input": factories.input_transform(size_wh=(SIDE, SIDE)),
        "outputs": {"boxes": "boxes", "scores": "scores"},
        "labels": LABELS,
        "digest": digest_of(flatbuffer),
    }
    described = factories.manifest(**fields | changes)
    return ModelFile.of(Path("bright.tflite"), flatbuffer, described, anchors=anchors())


def anchors() -> NDArray[np.float32]:
    """Return a square for each cell, row by row."""
    centres = (np.arange(GRID) + 0.5) / GRID
    rows = [(y, x, 1 / GRID, 1 / GRID) for y in centres for x in centres]
    return np.array(rows, np.float32)


def image(cells: Sequence[int], seed: int) -> NDArray[np.uint8]:
    """Return a dark, noisy image `(64, 64, 3)` with the given cells bright."""
    random = np.random.default_rng(seed)
    grid = random.integers(0, 40, (GRID, GRID, 3))
    grid.reshape(-1, 3)[list(cells)] = random.integers(200, 256, (len(cells), 3))
    return np.kron(grid, np.ones((IMAGE_CELL_PX, IMAGE_CELL_PX, 1))).astype(np.uint8)


def write_images(folder: Path, count: int) -> tuple[Path, ...]:
    """Write images of no, one, two ... five squares, again and again; return their paths."""
    paths = []
    for number in range(count):
        cells = np.random.default_rng(number).choice(COUNT, number % 6, replace=False)
        paths.append(folder / f"{number:02}.png")
        cv2.imwrite(str(paths[-1]), image(cells.tolist(), number))
    return tuple(paths)


def _conv(
    net: Net,
    name: str,
    source: int,
    kernel: NDArray[np.float32],
    bias: NDArray[np.float32],
    *,
    relu: bool = False,
) -> int:
    stride = kernel.shape[1]
    options = schema.Conv2DOptionsT()
    options.padding = schema.Padding.VALID
    options.strideH = options.strideW = stride
    options.dilationHFactor = options.dilationWFactor = 1
    kinds = schema.ActivationFunctionType
    options.fusedActivationFunction = kinds.RELU if relu else kinds.NONE
    weights = net.constant(f"{name}/weights", kernel)
    biases = net.constant(f"{name}/bias", bias)
    output = net.tensor(name, (1, GRID, GRID, len(kernel)))
    net.op("CONV_2D", [source, weights, biases], output, options)
    return output


def _flat(net: Net, name: str, source: int, *, columns: int) -> int:
    shape = net.constant(f"{name}/shape", np.array([1, COUNT, columns], np.int32))
    output = net.tensor(name, (1, COUNT, columns))
    options = schema.ReshapeOptionsT()
    options.newShape = [1, COUNT, columns]
    net.op("RESHAPE", [source, shape], output, options)
    return output
