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
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.evaluation.box_mistakes import ImageMatches
    from edge.evaluation.evaluation import Evaluation, Mistakes
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
NOT_JUDGED = (0, 0, 0)
BOX_KEYS = {
    FOUND: "found", MISSED: "missed", FALSE_ALARM: "false alarm", CONFUSED: "of another label",
}  # fmt: skip
MASK_KEYS = {FALSE_ALARM: "wrong", NOT_JUDGED: "not judged"}


def keys(result: Evaluation) -> list[tuple[str, str]]:
    """Return (CSS colour, meaning) of what is drawn on the images of a task."""
    colors = BOX_KEYS if result.task == "detection" else MASK_KEYS
    return [(f"rgb({red} {green} {blue})", text) for (blue, green, red), text in colors.items()]


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
    drawn = worst(measured, model=model, count=count)
    return [
        _write(folder / f"{place:02d}-{path.stem}.jpg", image)
        for place, (_, path, image) in enumerate(drawn, start=1)
    ]


def worst(
    measured: Measurement, *, model: int, count: int = WORST_COUNT, side_px: int | None = None
) -> Iterator[tuple[Mistakes, Path, NDArray[np.uint8]]]:
    """Yield what went wrong, the image's path, and the image with that drawn on it, `(H, W, 3)`.

    Args:
        measured: Of `edge.evaluation.measuring.measure`.
        model: Which of the models.
        count: Most images.
        side_px: Of the longer side at most; `None` leaves images as they are.

    Raises:
        SourceError: An image is no longer there.
    """
    run, result = measured.runs[model], measured.evaluations[model]
    matches = _box_matches(measured, model) if isinstance(run, BoxRun) else {}
    names = _names(measured)
    for row in result.mistakes[:count]:
        path = measured.files[row.key]
        image = read_image(path)
        if isinstance(run, BoxRun):
            # Reduced first, so that the letters stay large enough to be read.
            width = image.shape[1]
            image = _reduced(image, side_px)
            _draw_boxes_inplace(image, matches[row.key], names, scale=image.shape[1] / width)
        else:
            image = _reduced(_painted(image, run, row.key), side_px)
        yield row, path, image


def jpeg(image: NDArray[np.uint8], *, quality: int = JPEG_QUALITY) -> bytes:
    """Return `(H, W, 3)` uint8, B G R, as a JPEG file."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()


def _reduced(image: NDArray[np.uint8], side_px: int | None) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    ratio = (side_px or max(height, width)) / max(height, width)
    if ratio >= 1:
        return image
    size_wh = max(1, round(width * ratio)), max(1, round(height * ratio))
    return np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)


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
    image: NDArray[np.uint8], matches: ImageMatches, names: dict[int, str], *, scale: float
) -> None:
    def draw(row: dict[str, Any], text: str, color: tuple[int, int, int]) -> None:
        x_min, y_min, width, height = (side * scale for side in row["bbox"])
        box = x_min, y_min, x_min + width, y_min + height
        draw_box_inplace(image, box, text, color=color)

    def name(row: dict[str, Any]) -> str:
        return names[row["category_id"]]

    for _, detection in matches.found:
        draw(detection, f"{name(detection)} {detection['score']:.2f}", FOUND)
    for row in matches.missed:
        draw(row, name(row), MISSED)
    for row in matches.false_alarms:
        draw(row, f"{name(row)} {row['score']:.2f}", FALSE_ALARM)
    for row, detection in matches.confused:
        text = f"{name(row)}, not {name(detection)} {detection['score']:.2f}"
        draw(detection, text, CONFUSED)


def _painted(image: NDArray[np.uint8], run: MaskRun, key: int) -> NDArray[np.uint8]:
    """Return the image beside itself with the mistakes painted on."""
    true = stretch(run.true_ids(key, image.shape), image.shape[:2])
    said = stretch(run.said_ids(image), image.shape[:2])
    painted = (image // 2).astype(np.uint8)
    painted[true == VOID] = NOT_JUDGED
    painted[(true != VOID) & (said != true)] = FALSE_ALARM
    return np.hstack([image, painted])


def _write(path: Path, image: NDArray[np.uint8]) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(image))
    except OSError as error:
        reason = error.strerror or str(error)
        raise SinkError(f"{path}: cannot be written: {reason}; choose another folder") from error
    return path
