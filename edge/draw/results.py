"""What a model saw, drawn on its image for people: a function for each kind of result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.decode.keypoints import KeypointsHead
from edge.decode.segmentation import SegmentationHead
from edge.draw.lettering import class_color, unit_px, write_inplace, write_line_inplace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.model.description import Description
    from edge.results.anomaly import Anomaly
    from edge.results.class_map import ClassMap
    from edge.results.classes import Classes
    from edge.results.detections import Detections
    from edge.results.instances import Instances, Mask
    from edge.results.poses import Poses

TINT, HEAT_TINT = 0.45, 0.6
MAX_CLASSES = 256
INSIDE = 128  # of 255: half of a pixel
SHOWN_SCORE = 0.5  # of a point; the less likely ones are guesses about what is hidden
INK = (255, 255, 255)
RED, GREEN = (48, 48, 255), (96, 220, 96)  # B G R


def draw_boxes_inplace(
    image: NDArray[np.uint8], detections: Detections, description: Description
) -> None:
    """Draw box, label and score of each detection, pixels of this `(H, W, 3)` uint8, B G R."""
    # The best last, so that nothing lies over it.
    for row in range(len(detections) - 1, -1, -1):
        class_id = int(detections.class_ids[row])
        track = "" if detections.track_ids is None else f" #{detections.track_ids[row]}"
        text = f"{description.labels[class_id]} {detections.scores[row]:.2f}{track}"
        draw_box_inplace(image, detections.boxes[row], text, color=class_color(class_id))


def draw_box_inplace(
    image: NDArray[np.uint8],
    box: NDArray[np.float32] | tuple[float, float, float, float],
    text: str,
    *,
    color: tuple[int, int, int],
) -> None:
    """Draw one box and a text over it, or inside it where there is no room.

    Args:
        image: `(H, W, 3)` uint8, B G R; drawn on.
        box: x_min, y_min, x_max, y_max, pixels.
        text: As of `write_inplace`.
        color: B, G, R.
    """
    x1, y1, x2, y2 = (round(float(side)) for side in box)
    thickness = round(2 * unit_px(image))
    cv2.rectangle(image, (x1, y1), (x2 - 1, y2 - 1), color, thickness)
    write_inplace(image, text, (x1, y1), color=color)


def draw_instances_inplace(
    image: NDArray[np.uint8], seen: Instances, description: Description
) -> None:
    """Draw what a model of instance masks saw on `(H, W, 3)` uint8, B G R."""
    unit = unit_px(image)
    # The best last, so that nothing lies over it.
    for row in range(len(seen) - 1, -1, -1):
        covered, (rows, columns) = _on_image(seen.masks[row], image.shape[:2])
        if covered.size:
            color = class_color(int(seen.class_ids[row]))
            tint_inplace(image[rows, columns], covered, color)
            outline_inplace(image[rows, columns], covered, color, unit=unit)
    draw_boxes_inplace(image, seen, description)


def pixels(mask: Mask, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which pixels of an image `(H, W)` an object covers, by half or more."""
    found = np.zeros(shape, np.bool_)
    covered, (rows, columns) = _on_image(mask, shape)
    np.greater_equal(covered, INSIDE, out=found[rows, columns])
    return found


def _on_image(mask: Mask, shape: tuple[int, ...]) -> tuple[NDArray[np.uint8], tuple[slice, slice]]:
    """Return how much of each pixel is covered, 0 to 255, and in which rows and columns."""
    height, width = shape
    x1, y1, x2, y2 = (round(side) for side in mask.box)
    if x2 <= x1 or y2 <= y1:
        return np.zeros((0, 0), np.uint8), (slice(0), slice(0))
    covered = cover(mask.cells, (y2 - y1, x2 - x1))
    rows, columns = slice(max(0, y1), min(height, y2)), slice(max(0, x1), min(width, x2))
    return covered[rows.start - y1 : rows.stop - y1, columns.start - x1 : columns.stop - x1], (
        rows,
        columns,
    )


def draw_poses_inplace(image: NDArray[np.uint8], seen: Poses, description: Description) -> None:
    """Draw what a pose model saw on `(H, W, 3)` uint8, B G R."""
    skeleton = description.head_as(KeypointsHead).skeleton
    unit = unit_px(image)
    draw_boxes_inplace(image, seen, description)
    # The best last, so that nothing lies over it.
    for row in range(len(seen) - 1, -1, -1):
        points = seen.points[row]
        is_shown = np.isfinite(points).all(axis=1) & (points[:, 2] >= SHOWN_SCORE)
        places = [(round(x), round(y)) for x, y in np.nan_to_num(points[:, :2]).tolist()]
        color = class_color(int(seen.class_ids[row]))
        for first, second in skeleton:
            if is_shown[first] and is_shown[second]:
                ends = places[first], places[second]
                cv2.line(image, *ends, color, round(2 * unit), cv2.LINE_AA)
        for number in np.flatnonzero(is_shown).tolist():
            cv2.circle(image, places[number], round(3 * unit), INK, cv2.FILLED, cv2.LINE_AA)
            cv2.circle(image, places[number], round(3 * unit), color, round(unit), cv2.LINE_AA)


def draw_class_map_inplace(
    image: NDArray[np.uint8], seen: ClassMap, description: Description
) -> None:
    """Draw what a segmenter saw on `(H, W, 3)` uint8, B G R."""
    background = description.head_as(SegmentationHead).background
    overlay_inplace(image, seen, description.labels, background=background)


def overlay_inplace(
    image: NDArray[np.uint8],
    seen: ClassMap,
    labels: Sequence[str],
    *,
    background: int | None = 0,
) -> None:
    """Tint what each class covers, and write its label and its share of the image.

    Args:
        image: `(H, W, 3)` uint8, B G R; drawn on.
        seen: Of this image.
        labels: Text of each class id.
        background: Class id that is left as it is; `None` leaves none.
    """
    ratios = seen.area_ratios(MAX_CLASSES)
    shown = [each for each in np.argsort(-ratios, kind="stable").tolist() if ratios[each] > 0]
    if background in shown:
        shown.remove(background)
    unit = unit_px(image)
    covers = [cover(seen.class_ids == class_id, image.shape[:2]) for class_id in shown]
    for class_id, covered in zip(shown, covers, strict=True):
        tint_inplace(image, covered, class_color(class_id))
    for class_id, covered in zip(shown, covers, strict=True):
        outline_inplace(image, covered, class_color(class_id), unit=unit)
    for line, class_id in enumerate(shown):
        text = f"{labels[class_id]} {ratios[class_id]:.1%}"
        write_line_inplace(image, text, color=class_color(class_id), line=line)


def cover(cells: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return how much of each pixel some cells cover, `(H, W)` uint8 to 255; no steps of cells."""
    height, width = shape
    values = cells.view(np.uint8) * np.uint8(255)
    return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def tint_inplace(
    image: NDArray[np.uint8], covered: NDArray[np.uint8], color: tuple[int, int, int]
) -> None:
    """Tint `(H, W, 3)` by what `cover` returned, `(H, W)`."""
    weight = covered[..., None] * np.float32(TINT / 255)  # (H, W, 1)
    image[:] = (image + (np.array(color, np.float32) - image) * weight).round()


def outline_inplace(
    image: NDArray[np.uint8],
    covered: NDArray[np.uint8],
    color: tuple[int, int, int],
    *,
    unit: float,
) -> None:
    """Draw the border of what is covered by half or more; `unit` is a line's width."""
    inside = (covered >= INSIDE).astype(np.uint8)
    outlines, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(image, outlines, -1, color, round(unit), cv2.LINE_AA)


def draw_classes_inplace(image: NDArray[np.uint8], seen: Classes, description: Description) -> None:
    """Write what a classifier saw on `(H, W, 3)` uint8, B G R: the best class first."""
    rows = zip(seen.class_ids.tolist(), seen.scores.tolist(), strict=True)
    for line, (class_id, score) in enumerate(rows):
        text = f"{description.labels[class_id]} {score:.2f}"
        write_line_inplace(image, text, color=class_color(class_id), line=line)


def draw_anomaly_inplace(image: NDArray[np.uint8], seen: Anomaly, description: Description) -> None:  # noqa: ARG001 - no label has a meaning here
    """Tint `(H, W, 3)` uint8, B G R, the more the nearer a cell's error is to the threshold."""
    height, width = image.shape[:2]
    ratios = np.minimum(seen.heat / np.float32(seen.threshold), 1)  # (rows, columns)
    covered = cv2.resize(ratios, (width, height), interpolation=cv2.INTER_LINEAR)[..., None]
    image[:] = (
        image + (np.array(RED, np.float32) - image) * (covered * np.float32(HEAT_TINT))
    ).round()
    text = f"error {seen.error:.4g} of {seen.threshold:.4g}"
    write_line_inplace(image, text, color=RED if seen.is_anomaly else GREEN)
