"""The images on which a model is worst, with what it got wrong drawn on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge.draw.boxes import draw_box_inplace
from edge.errors import SinkError
from edge.evaluation.box_run import BoxRun
from edge.evaluation.images import read_image
from edge.evaluation.mask_folder import VOID
from edge.evaluation.mask_run import stretch

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.evaluation.box_mistakes import ImageMatches
    from edge.evaluation.mask_run import MaskRun
    from edge.evaluation.measuring import Measurement

WORST_COUNT = 12
JPEG_QUALITY = 88
LEGEND = (
    "boxes: green found, orange missed, red false alarm, pink of another label; masks: red wrong, "
    "black not judged"
)
# B, G, R.
FOUND, MISSED, FALSE_ALARM, CONFUSED = (90, 200, 60), (0, 165, 255), (60, 60, 255), (255, 80, 200)


def write_worst(
    measured: Measurement, folder: Path, *, model: int = 0, count: int = WORST_COUNT
) -> list[Path]:
    """Write the worst images of one model as JPEG, the worst first, and return their paths.

    What the colours mean is in `LEGEND`.

    Args:
        measured: Of `edge.evaluation.measuring.measure`.
        folder: Made if it is not there.
        model: Which of the models.
        count: Most images.

    Raises:
        SinkError: They cannot be written.
        SourceError: An image is no longer there.
    """
    run, result = measured.runs[model], measured.evaluations[model]
    matches = _box_matches(measured, model) if isinstance(run, BoxRun) else {}
    names = _names(measured)
    paths = []
    for place, row in enumerate(result.mistakes[:count], start=1):
        source = measured.files[row.key]
        image = read_image(source)
        if isinstance(run, BoxRun):
            _draw_boxes_inplace(image, matches[row.key], names)
        else:
            image = _painted(image, run, row.key)
        paths.append(_write(folder / f"{place:02d}-{source.stem}.jpg", image))
    return paths


def _box_matches(measured: Measurement, model: int) -> dict[int, ImageMatches]:
    run = measured.runs[model]
    return (
        run.matches(list(measured.files), list(measured.known_ids))
        if isinstance(run, BoxRun)
        else {}
    )


def _names(measured: Measurement) -> dict[int, str]:
    truth = measured.truth
    return truth.category_names() if hasattr(truth, "category_names") else {}


def _draw_boxes_inplace(
    image: NDArray[np.uint8], matches: ImageMatches, names: dict[int, str]
) -> None:
    def name(row: dict[str, Any]) -> str:
        return names[row["category_id"]]

    for _, detection in matches.found:
        text = f"{name(detection)} {detection['score']:.2f}"
        draw_box_inplace(image, _corners(detection), text, color=FOUND)
    for row in matches.missed:
        draw_box_inplace(image, _corners(row), name(row), color=MISSED)
    for row in matches.false_alarms:
        text = f"{name(row)} {row['score']:.2f}"
        draw_box_inplace(image, _corners(row), text, color=FALSE_ALARM)
    for row, detection in matches.confused:
        text = f"{name(row)}, not {name(detection)} {detection['score']:.2f}"
        draw_box_inplace(image, _corners(detection), text, color=CONFUSED)


def _corners(row: dict[str, Any]) -> tuple[float, float, float, float]:
    x_min, y_min, width, height = row["bbox"]
    return x_min, y_min, x_min + width, y_min + height


def _painted(image: NDArray[np.uint8], run: MaskRun, key: int) -> NDArray[np.uint8]:
    """Return the image beside itself with the mistakes painted on."""
    true = stretch(run.true_ids(key, image.shape), image.shape[:2])
    said = stretch(run.said_ids(image), image.shape[:2])
    painted = (image // 2).astype(np.uint8)
    painted[true == VOID] = 0
    painted[(true != VOID) & (said != true)] = FALSE_ALARM
    return np.hstack([image, painted])


def _write(path: Path, image: NDArray[np.uint8]) -> Path:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.tobytes())
    except OSError as error:
        reason = error.strerror or str(error)
        raise SinkError(f"{path}: cannot be written: {reason}; choose another folder") from error
    return path
