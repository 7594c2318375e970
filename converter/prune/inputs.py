"""The smaller inputs that a model may have."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from converter.graph.reading import read
from converter.prune.resizing import stride_of
from edge.capture.images import load_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.model.model_file import ModelFile

# Logarithms of scales nearer than that are the same.
SAME = 1e-6
# Of an input where no grid says in what steps it may shrink; and its least side. One pixel more
# is one cell more of each grid: SSDLite has 17, 9, 5, 3, 2, 1 at 257 and 16, 8, 4, 2, 1, 1 at 256.
STEP_PX, LEAST_PX = 16, 16


def inputs(file: ModelFile, images: Sequence[Path]) -> list[tuple[int, int]]:
    """Return widths and heights, largest first, the model's own before them.

    A picture that is stretched keeps the input's shape. One with bars may have another: of all
    inputs those at which no smaller one shows the images as large.

    Args:
        file: Float, of ours.
        images: Plain ones, of the shapes that the camera gives.

    Raises:
        SourceError: An image cannot be read.
    """
    described = file.description.input
    wide, high = own = described.size_wh
    stride = stride_of(read(file.flatbuffer, file.path))
    step = stride if stride > 1 else STEP_PX
    if described.resize == "letterbox":
        wides, highs = (range(step, side + 1, step) for side in own)
        return [own, *_shown_largest([(w, h) for w in wides for h in highs], images, own)]
    longer, found = max(own), [own]
    for side in range((longer - 1) // step * step, LEAST_PX - 1, -step):
        pair = [max(step, round(each * side / longer / step) * step) for each in (wide, high)]
        more = (1, 0) if stride == 1 else (0,)
        found += [(pair[0] + each, pair[1] + each) for each in more]
    return list(dict.fromkeys(found))


def _shown_largest(
    sizes: Sequence[tuple[int, int]], images: Sequence[Path], own: tuple[int, int]
) -> list[tuple[int, int]]:
    """Return the sizes but for those that a smaller one equals, and the own; largest first.

    Args:
        sizes: Width and height of inputs with bars.
        images: How large each shows these, as the mean logarithm of their scales, is compared.
        own: The input as it is.
    """
    sides = np.array([load_image(path).shape[1::-1] for path in images])
    shown = {size: float(np.log((np.array(size) / sides).min(axis=1)).mean()) for size in sizes}
    found, best = [], -math.inf
    for size in sorted(shown, key=lambda size: (math.prod(size), -shown[size])):
        if shown[size] > best + SAME:
            found.append(size)
            best = shown[size]
    return [size for size in reversed(found) if size != own]
