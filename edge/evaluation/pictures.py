"""The images on which a model is worst, with what it got wrong drawn on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.draw.jpeg import encode_jpeg
from edge.errors import SinkError
from edge.evaluation.images import read_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edge.evaluation.evaluation import Mistakes
    from edge.evaluation.measuring import Measurement

WORST_COUNT = 12
JPEG_QUALITY = 88
LEGEND = (
    "boxes: green found, orange missed, red false alarm, pink of another label; masks: red wrong, "
    "black not judged"
)


def write_worst(measured: Measurement, folder: Path, *, model: int = 0) -> list[Path]:
    """Write the worst images of one model as JPEG, the worst first, and return their paths.

    What the colours mean is in `LEGEND`.
    """
    paths = []
    for place, (_, source, image) in enumerate(worst(measured, model=model), start=1):
        paths.append(path := folder / f"{place:02d}-{source.stem}.jpg")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_jpeg(image, quality=JPEG_QUALITY))
        except OSError as error:
            reason = error.strerror or str(error)
            raise SinkError(
                f"{path}: cannot be written: {reason}; choose another folder"
            ) from error
    return paths


def worst(
    measured: Measurement, *, model: int, side_px: int | None = None
) -> Iterator[tuple[Mistakes, Path, NDArray[np.uint8]]]:
    """Yield what went wrong, the image's path, and the image with that drawn on it, `(H, W, 3)`.

    Args:
        measured: Of `edge.evaluation.measuring.measure`.
        model: Which of the models.
        side_px: Of the longer side at most; `None` leaves images as they are.
    """
    for row in measured.evaluations[model].mistakes[:WORST_COUNT]:
        path = measured.files[row.key]
        yield row, path, measured.runs[model].drawn(row.key, read_image(path), side_px)
