"""A picture as a JPEG."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

QUALITY = 90


def encode_jpeg(picture: NDArray[np.uint8], *, quality: int = QUALITY) -> bytes:
    """Return `(h, w, 3)` uint8, B G R, as the bytes of a JPEG; quality 1 to 100."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()
