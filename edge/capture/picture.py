"""One image as its driver gave it, and the way to three channels at another size.

Where it shrinks to less than half, the planes are resized first and only the small result is
converted: 720p NV12 to 300 x 169 takes 0.19 ms, YUYV 0.26 ms; converting all of it first takes 0.8
and 0.95 ms (x86). Where it shrinks less, converting first is the faster way, and the one taken.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from typing_extensions import Self

PixelFormat = Literal["bgr", "nv12", "i420", "j420", "yuyv", "grey"]
# Formats of planes, whose arrays have half as many rows again as the image.
PLANAR = ("nv12", "i420", "j420")
# Least value of video-range luma: black. OpenCV's conversions clip below it, so this does.
BLACK = 16
TURNS = {
    90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_COUNTERCLOCKWISE,
}
SIDEWAYS = (90, 270)
CONVERSIONS = {
    ("nv12", "rgb"): cv2.COLOR_YUV2RGB_NV12,
    ("nv12", "bgr"): cv2.COLOR_YUV2BGR_NV12,
    ("i420", "rgb"): cv2.COLOR_YUV2RGB_I420,
    ("i420", "bgr"): cv2.COLOR_YUV2BGR_I420,
    ("yuyv", "rgb"): cv2.COLOR_YUV2RGB_YUYV,
    ("yuyv", "bgr"): cv2.COLOR_YUV2BGR_YUYV,
}
# Where Y, U and V lie among the channels of the arrays that are resized, one behind the other.
PLACES = {"nv12": (0, 1, 2), "i420": (0, 1, 2), "j420": (0, 1, 2), "yuyv": (0, 3, 5)}


@dataclass(frozen=True, slots=True)
class Sensed:
    """What a network in the sensor saw in a frame.

    Attributes:
        rows: `(N, 6)` float32: x0, y0, x1, y1 in shares of the sensor, score, class.
        network: Its file.
        crop_xywh: The part of the sensor that the frame shows, its pixels.
    """

    rows: NDArray[np.float32]
    network: Path
    crop_xywh: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Picture:
    """Pixels of a source, borrowed until its next `read`.

    Attributes:
        pixels: uint8; of an image of W x H pixels `(H, W, 3)` for `bgr`, `(H * 3 / 2, W)` for
            `nv12` (rows of Y, then rows of U V) and `i420` (rows of Y, then all of U, then all of
            V), likewise `j420`, where Y, U and V take all of 0 to 255 as in a JPEG; `(H, W, 2)` for
            `yuyv` (Y U Y V), `(H, W)` for `grey`. Rows may be further apart than they are long, but
            not those of `i420` and `j420`.
        captured_ns: Monotonic clock (`time.monotonic_ns`) when the sensor saw it, where the driver
            knows; else when the source gave it.
        captured_utc_ns: Nanoseconds since the Unix epoch, UTC, at that moment; for messages only.
        work_ns: Nanoseconds that giving it took, such as decoding; waiting for it not counted.
        format: What the pixels mean.
        rotate: Degrees clockwise by which the pixels are to be turned: 0, 90, 180 or 270. The image
            is what they are then.
        larger: Gives the same moment in more pixels, where the source has them; to be called before
            its next `read` only.
        sensed: What the sensor saw in it, where it runs a network itself.
        file_ns: Of a file that is read as fast as it goes, when the frame is due in it.
    """

    pixels: NDArray[np.uint8]
    captured_ns: int
    captured_utc_ns: int
    work_ns: int
    format: PixelFormat = "bgr"
    rotate: int = 0
    larger: Callable[[], Picture] | None = None
    sensed: Sensed | None = None
    file_ns: int | None = None

    @property
    def source_ns(self) -> int:
        """Nanoseconds of the source's own clock, of which only differences have a meaning.

        The monotonic one; of a file that is read as fast as it goes, the file's: there a second of
        the world may pass in 20 ms.
        """
        return self.captured_ns if self.file_ns is None else self.file_ns

    @classmethod
    def taken(
        cls,
        pixels: NDArray[np.uint8],
        began_ns: int,
        *,
        pixel_format: PixelFormat = "bgr",
        captured_ns: int | None = None,
        file_ns: int | None = None,
    ) -> Self:
        """Return a picture that is ready now; the work of giving it began at `began_ns`.

        Both times are of the monotonic clock; without the driver's, it was captured now.
        """
        now_ns = time.monotonic_ns()
        age_ns = 0 if captured_ns is None else now_ns - captured_ns
        times = now_ns - age_ns, time.time_ns() - age_ns, now_ns - began_ns
        return cls(pixels, *times, pixel_format, file_ns=file_ns)

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the image, pixels."""
        rows, columns = self.pixels.shape[:2]
        height = rows * 2 // 3 if self.format in PLANAR else rows
        return (height, columns) if self.rotate in SIDEWAYS else (columns, height)


def pixel_shape(pixel_format: PixelFormat, size_wh: tuple[int, int]) -> tuple[int, ...]:
    """Return the shape of `Picture.pixels`, for an image of this format and size."""
    width, height = size_wh
    if pixel_format in PLANAR:
        return height * 3 // 2, width
    return {"bgr": (height, width, 3), "yuyv": (height, width, 2), "grey": (height, width)}[
        pixel_format
    ]


class Scaler:
    """Owns the scratch between pictures and one size; allocates only when format or size change.

    Args:
        color: Order of the result's channels: `rgb` or `bgr`; or `grey`.
    """

    def __init__(self, color: str) -> None:
        self._color = color
        self._coloured = Scaler("bgr") if color == "grey" else None
        self._unturned = np.empty(0, np.uint8)
        self._video = _yuv_matrix(color, black=BLACK, luma=219, chroma=224)
        self._black = np.array([BLACK], np.float64)  # a scalar, as OpenCV types it
        self._full = _yuv_matrix(color, black=0, luma=255, chroma=255)
        self._scratch: list[NDArray[np.uint8]] = []
        self._made_for: tuple[Any, ...] = ()

    def scale(self, picture: Picture, *, out: NDArray[np.uint8]) -> None:
        """Write a picture into `(h, w, C)` uint8, contiguous, by bilinear interpolation."""
        if picture.rotate:
            self._scale_turned(picture, out=out)
            return
        pixels, kind = picture.pixels, picture.format
        width, height = picture.size_wh
        if self._coloured is not None:
            self._scale_to_grey(self._coloured, picture, out=out)
        elif kind == "bgr":
            _resize(pixels, out)
            if self._color == "rgb":
                cv2.cvtColor(out, cv2.COLOR_BGR2RGB, dst=out)
        elif kind == "grey":
            (grey,) = self._buffers(kind, out.shape[:2], 1)
            _resize(pixels, grey)
            cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR, dst=out)
        elif kind == "nv12" and 2 * out.shape[1] <= width:
            chroma = pixels[height:].reshape(height // 2, width // 2, 2)  # U V
            self._scale_planes(kind, (pixels[:height], chroma), out=out)
        elif kind == "j420" or (kind == "i420" and 2 * out.shape[1] <= width):
            chroma = pixels[height:].reshape(2, height // 2, width // 2)  # all U, all V
            self._scale_planes(kind, (pixels[:height], *chroma), out=out)
        elif kind == "yuyv" and 2 * out.shape[1] < width:
            # Of the first both lumas are used, of the second U and V: Y U Y V.
            self._scale_planes(kind, (pixels, pixels.reshape(height, width // 2, 4)), out=out)
        else:
            (whole,) = self._buffers(kind, (height, width), 3)
            cv2.cvtColor(pixels, CONVERSIONS[kind, self._color], dst=whole)
            _resize(whole, out)

    def reduced(self, picture: Picture, *, max_side_px: int) -> NDArray[np.uint8]:
        """Return a new `(h, w, 3)` uint8 no side of which is above `max_side_px`."""
        if picture.larger and max(picture.size_wh) < max_side_px:
            picture = replace(picture.larger(), rotate=picture.rotate)
        width, height = picture.size_wh
        ratio = min(1.0, max_side_px / max(width, height))
        shape = max(1, round(height * ratio)), max(1, round(width * ratio)), 3
        out = np.empty(shape, np.uint8)
        self.scale(picture, out=out)
        return out

    def _scale_turned(self, picture: Picture, *, out: NDArray[np.uint8]) -> None:
        """Turn what is small already."""
        height, width, *channels = out.shape
        shape = (width, height) if picture.rotate in SIDEWAYS else (height, width)
        if self._unturned.shape != (*shape, *channels):
            self._unturned = np.empty((*shape, *channels), np.uint8)
        self.scale(replace(picture, rotate=0), out=self._unturned)
        cv2.rotate(self._unturned, TURNS[picture.rotate], dst=out)

    def _scale_to_grey(self, coloured: Scaler, picture: Picture, *, out: NDArray[np.uint8]) -> None:
        if picture.format == "grey":
            _resize(picture.pixels, out)
            return
        (small,) = self._buffers(picture.format, out.shape[:2], 3)
        coloured.scale(picture, out=small)
        cv2.cvtColor(small, cv2.COLOR_BGR2GRAY, dst=out)

    def _scale_planes(
        self, kind: str, planes: tuple[NDArray[np.uint8], ...], *, out: NDArray[np.uint8]
    ) -> None:
        """Resize what holds Y and what holds U and V, put Y U V together, and convert that."""
        counts = [plane[0, 0].size for plane in planes]
        singles = [1] * sum(counts)
        yuv, *scratch = self._buffers(kind, out.shape[:2], 3, *counts, *singles)
        small, channels = scratch[: len(planes)], scratch[len(planes) :]
        at = 0
        for plane, reduced, count in zip(planes, small, counts, strict=True):
            # Split and merged: 18 µs for 300 x 300, where `mixChannels` takes 60.
            _resize(plane, reduced if count > 1 else channels[at])
            if count > 1:
                cv2.split(reduced, channels[at : at + count])
            at += count
        y, u, v = (channels[place] for place in PLACES[kind])
        if kind != "j420":
            cv2.max(y, self._black, dst=y)  # 6 µs, where NumPy's takes 40
        cv2.merge((y, u, v), dst=yuv)
        cv2.transform(yuv, self._full if kind == "j420" else self._video, dst=out)

    def _buffers(
        self, kind: str, shape: tuple[int, ...], *channels: int
    ) -> list[NDArray[np.uint8]]:
        """Return scratch images of one size, one for each number of channels."""
        if self._made_for != (kind, shape, channels):
            self._made_for = kind, shape, channels
            self._scratch = [np.empty((*shape, count), np.uint8) for count in channels]
        return self._scratch


def _resize(image: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    cv2.resize(image, (out.shape[1], out.shape[0]), dst=out, interpolation=cv2.INTER_LINEAR)


def _yuv_matrix(color: str, *, black: int, luma: int, chroma: int) -> NDArray[np.float32]:
    """Return `(3, 4)`, the way from Y U V 1 to R G B or B G R.

    Args:
        color: Order of the result's channels.
        black: Y of black.
        luma: Steps from there to white.
        chroma: Steps of U and V, around 128.

    Source: ITU-R BT.601-7, 2.5: Kr = 0.299, Kb = 0.114, 219 steps above 16, and 224; ITU-T T.871
    (JFIF), 7: the same with 255 steps above 0.
    """
    red, blue = 0.299, 0.114
    green = 1 - red - blue
    y, u, v = 255 / luma, 2 * (1 - blue) * 255 / chroma, 2 * (1 - red) * 255 / chroma
    matrix = np.array([[y, 0, v, 0], [y, -u * blue / green, -v * red / green, 0], [y, u, 0, 0]])
    matrix[:, 3] = -matrix[:, :3] @ (black, 128, 128)
    return np.ascontiguousarray(matrix if color == "rgb" else matrix[::-1], np.float32)
