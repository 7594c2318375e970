"""What the calibration images look like to the model, for the self-check on the device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from converter import export
from edge.capture.images import load_image
from edge.capture.look import Looker
from edge.capture.picture import Picture
from edge.model.description import HeadSight, Sight
from edge.model.loaded import load_model
from edge.stages.world import distance, shares

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from edge.model.model_file import ModelFile
    from edge.stages.world import Shares
    from edge.terminal.progress import Progress

DIGITS = 5


def with_sight(
    file: ModelFile, images: Sequence[Path], *, progress: Progress | None = None
) -> ModelFile:
    """Return the file with what its input and its heads hold for images, in its manifest.

    Args:
        file: Quantised; of a float model only the images' own values are told.
        images: That calibrated it, at least one.
        progress: Called with (images run, images to run).
    """
    model = load_model(file)
    buffer, heads = model.input_buffer(), model.output_buffers()
    looker = Looker()
    clipped, saturated = [], []
    found: dict[str, list[Shares]] = {}
    for done, path in enumerate(images, start=1):
        image = load_image(path)
        clipped.append(looker.at(Picture(image, 0, 0, 0)).clipped_ratio)
        buffer.fill(image)
        saturated.append(_saturated(buffer.tensor))
        model.invoke(buffer, out=heads)
        for role in model.spec.outputs:
            head = shares(heads[role])
            if head is not None:
                found.setdefault(role, []).append(head)
        if progress:
            progress(done, len(images))
    sight = Sight(
        images=len(images),
        saturated_ratio=round(float(np.mean(saturated)), DIGITS),
        clipped_ratio=round(max(clipped), DIGITS),
        heads={role: _head(of_images) for role, of_images in found.items()},
    )
    return export.sealed(file, file.own_manifest().replace(sight=sight))


def _head(of_images: list[Shares]) -> HeadSight:
    mean = np.mean(of_images, axis=0)
    lowest, *histogram, highest = mean.round(DIGITS).tolist()
    return HeadSight(
        histogram=tuple(histogram),
        lowest_ratio=lowest,
        highest_ratio=highest,
        spread=round(max(distance(each, mean) for each in of_images), DIGITS),
    )


def _saturated(tensor: NDArray[Any]) -> float:
    """Return the share of values at either end of the tensor's type; of floats, of its own ends."""
    limits = np.iinfo(tensor.dtype) if tensor.dtype.kind in "iu" else None
    least, most = (limits.min, limits.max) if limits else (tensor.min(), tensor.max())
    return float(np.mean((tensor == least) | (tensor == most)))
