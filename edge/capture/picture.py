"""One image as its driver gave it: pixels, what they mean, and when they were seen."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Self

PixelFormat = Literal["bgr", "nv12", "yuyv", "grey"]


@dataclass(frozen=True, slots=True)
class Picture:
    """Pixels of a source, borrowed until its next `read`.

    Attributes:
        pixels: uint8; of an image of W x H pixels `(H, W, 3)` for `bgr`, `(H * 3 / 2, W)` for
            `nv12` (rows of Y, then rows of U V), `(H, W, 2)` for `yuyv` (Y U Y V), `(H, W)` for
            `grey`. Rows may be further apart than they are long.
        captured_ns: Monotonic clock (`time.monotonic_ns`) when the sensor saw it, where the driver
            knows; else when the source gave it.
        captured_utc_ns: Nanoseconds since the Unix epoch, UTC, at that moment; for messages only.
        work_ns: Nanoseconds that giving it took, such as decoding; waiting for it not counted.
        format: What the pixels mean.
    """

    pixels: NDArray[np.uint8]
    captured_ns: int
    captured_utc_ns: int
    work_ns: int
    format: PixelFormat = "bgr"

    @classmethod
    def taken(
        cls,
        pixels: NDArray[np.uint8],
        began_ns: int,
        *,
        pixel_format: PixelFormat = "bgr",
        captured_ns: int | None = None,
    ) -> Self:
        """Return a picture that is ready now.

        Args:
            pixels: As `Picture.pixels`.
            began_ns: Monotonic clock when the work of giving it began.
            pixel_format: As `Picture.format`.
            captured_ns: Monotonic clock of the driver; `None` is now.
        """
        now_ns = time.monotonic_ns()
        age_ns = 0 if captured_ns is None else now_ns - captured_ns
        return cls(
            pixels, now_ns - age_ns, time.time_ns() - age_ns, now_ns - began_ns, pixel_format
        )

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the image, pixels."""
        rows, columns = self.pixels.shape[:2]
        return columns, rows * 2 // 3 if self.format == "nv12" else rows
