"""From a picture to a JPEG of bounded size: a part of it, reduced, and encoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUALITY = 90  # of 100
# Tried in turn; below the last one blocks are seen before the object is.
QUALITIES = (85, 75, 60, 45, 30)


def cut(
    picture: NDArray[np.uint8], box: tuple[float, float, float, float], *, margin_ratio: float
) -> NDArray[np.uint8]:
    """Return a part of a picture, a view of at least one pixel.

    Args:
        picture: `(h, w, 3)` uint8.
        box: x1, y1, x2, y2 in its pixels.
        margin_ratio: Of the box' width and height, added at each side as far as there is picture.
    """
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = box
    right, down = (x2 - x1) * margin_ratio, (y2 - y1) * margin_ratio
    left = min(width - 1, max(0, int(x1 - right)))
    top = min(height - 1, max(0, int(y1 - down)))
    end_x = min(width, max(left + 1, int(np.ceil(x2 + right))))
    end_y = min(height, max(top + 1, int(np.ceil(y2 + down))))
    return picture[top:end_y, left:end_x]


def reduced(image: NDArray[np.uint8], max_side_px: int | None) -> NDArray[np.uint8]:
    """Return an image of its own memory, no side of which is above `max_side_px`; `None` is any."""
    height, width = image.shape[:2]
    ratio = (max_side_px or max(width, height)) / max(width, height)
    if ratio >= 1:
        return np.array(image)
    size_wh = max(1, round(width * ratio)), max(1, round(height * ratio))
    return np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)


def encode_jpeg(image: NDArray[np.uint8], *, quality: int = QUALITY) -> bytes:
    """Return `(h, w, 3)` uint8, B G R, as the bytes of a JPEG; quality 1 to 100."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(data)


def encoded(image: NDArray[np.uint8], *, most_bytes: int) -> bytes:
    """Return a JPEG of at most so many bytes: of the best quality that fits, or smaller."""
    while True:
        for quality in QUALITIES:
            data = encode_jpeg(image, quality=quality)
            # One of 8 x 8 pixels takes 700 bytes, whatever is asked for.
            if len(data) <= most_bytes or max(image.shape) <= 8:  # noqa: PLR2004
                return data
        image = reduced(image, max(8, max(image.shape[:2]) * 3 // 4))
