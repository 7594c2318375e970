"""Float nets that say one thing of a whole image, built by hand: its colour, or the image again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from converter.graph.building import Builder
from converter.graph.building_images import Window, convolution, transposed_convolution
from converter.graph.edits import renamed
from converter.graph.writing import write

if TYPE_CHECKING:
    from pathlib import Path

SIDE, BLOCK, CHANNELS = 32, 4, 16
COLOURS = ("red", "green", "blue")
# Of an image in 0..1: a colour that leads by 0.2 has the logits 4 and 0.
SLOPE = 20.0


def classifier() -> bytes:
    """Return the net: a convolution, the mean over the image, and the colour that leads in it."""
    random = np.random.default_rng(3)
    filters = random.uniform(0, 0.02, (CHANNELS, 3, BLOCK, BLOCK)).astype(np.float32)
    filters[:3] = 0
    for channel in range(3):
        filters[channel, channel] = 1 / BLOCK**2
    make = Builder({"image": (1, SIDE, SIDE, 3)})
    stem = _halved(make, "image", filters)
    mean = make.reshape(make.reduce("MEAN", stem, (1, 2)), (1, CHANNELS))
    weights = np.zeros((3, CHANNELS), np.float32)
    weights[:, :3] = SLOPE * np.eye(3)
    raw = make.fully_connected(mean, weights, np.zeros(3, np.float32))
    return _packed(make, make.add("SOFTMAX", [raw], (1, 3), beta=1.0))


def autoencoder(*, sharpness: float = 4.0) -> bytes:
    """Return the net: the image in blocks, each its mean; a sigmoid of that at the end.

    With a slope of 4 the sigmoid gives what lies about the middle nearly as it was. What is finer
    than a block is the error.
    """
    filters = np.zeros((3, 3, BLOCK, BLOCK), np.float32)
    for channel in range(3):
        filters[channel, channel] = 1 / BLOCK**2
    make = Builder({"image": (1, SIDE, SIDE, 3)})
    inside = _halved(make, "image", filters)
    window = Window((BLOCK, BLOCK), (BLOCK, BLOCK))
    wide = (filters > 0).astype(np.float32) * sharpness
    bias = np.full(3, -sharpness / 2, np.float32)
    raw = transposed_convolution(make, inside, wide, bias=bias, window=window, size_hw=(SIDE, SIDE))
    return _packed(make, make.unary("LOGISTIC", raw))


def _halved(make: Builder, image: str, filters: np.ndarray) -> str:
    window = Window((BLOCK, BLOCK), (BLOCK, BLOCK))
    return convolution(make, image, filters, bias=None, window=window)


def _packed(make: Builder, output: str) -> bytes:
    return write(renamed(make.graph([output]), {output: "output"}))


def write_images(folder: Path, count: int, *, noise: float = 0.05) -> tuple[Path, ...]:
    """Write images of blocks, red, green and blue in turn, and more of a grain than the last."""
    paths = []
    for number in range(count):
        random = np.random.default_rng(number)
        cells = random.uniform(0.25, 0.55, (SIDE // BLOCK, SIDE // BLOCK, 3))
        cells[:, :, number % 3] += 0.2
        image = np.kron(cells, np.ones((BLOCK, BLOCK, 1)))
        image += random.normal(0, noise * (1 + number / count), image.shape)
        paths.append(folder / f"{number:02}.png")
        pixels = (255 * image.clip(0, 1)).round().astype(np.uint8)
        cv2.imwrite(str(paths[-1]), pixels[:, :, ::-1])
    return tuple(paths)
