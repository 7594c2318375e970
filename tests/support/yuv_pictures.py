"""Pictures in the formats of cameras, made from an image, and the way back by OpenCV."""

from __future__ import annotations

import cv2
import numpy as np

from edge.capture.picture import Picture


def picture(bgr: np.ndarray, kind: str) -> Picture:
    """Return an image, `(H, W, 3)` uint8 with even sides, as a camera would send it."""
    if kind == "bgr":
        return Picture(bgr, 0, 0, 0)
    if kind == "grey":
        return Picture(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), 0, 0, 0, "grey")
    return _packed(_yuv(bgr, is_full=kind == "j420"), kind)


def flat(kind: str, yuv: tuple[int, int, int], *, size_wh: tuple[int, int]) -> Picture:
    """Return a picture of one colour."""
    return _packed(np.full((size_wh[1], size_wh[0], 3), yuv, np.uint8), kind)


def whole(source: Picture) -> np.ndarray:
    """Return all of a picture in B G R, `(H, W, 3)` uint8, by OpenCV's own conversion."""
    codes = {
        "nv12": cv2.COLOR_YUV2BGR_NV12,
        "i420": cv2.COLOR_YUV2BGR_I420,
        "yuyv": cv2.COLOR_YUV2BGR_YUYV,
        "grey": cv2.COLOR_GRAY2BGR,
    }
    if source.format == "bgr":
        return source.pixels
    if source.format == "j420":
        return _whole_of_full_range(source)
    return cv2.cvtColor(source.pixels, codes[source.format])


def _whole_of_full_range(source: Picture) -> np.ndarray:
    """Convert by ITU-T T.871 (JFIF), 7; OpenCV has no conversion of such planes."""
    width, height = source.size_wh
    luma = source.pixels[:height].astype(float)
    u, v = source.pixels[height:].reshape(2, height // 2, width // 2).astype(float) - 128
    u, v = (cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in (u, v))
    bgr = luma + 1.772 * u, luma - 0.344136 * u - 0.714136 * v, luma + 1.402 * v
    return np.stack(bgr, axis=-1).round().clip(0, 255).astype(np.uint8)


def _yuv(bgr: np.ndarray, *, is_full: bool) -> np.ndarray:
    """Return `(H, W, 3)` uint8, Y U V by ITU-R BT.601-7, 2.5, in video range or in full."""
    blue, green, red = np.moveaxis(bgr.astype(float), -1, 0)
    black, steps, chroma = (0, 255, 127.5) if is_full else (16, 219, 112)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    planes = (
        black + steps / 255 * luma,
        128 + chroma / 255 * (blue - luma) / 0.886,
        128 + chroma / 255 * (red - luma) / 0.701,
    )
    return np.stack(planes, axis=-1).round().clip(0, 255).astype(np.uint8)


def _packed(yuv: np.ndarray, kind: str) -> Picture:
    height, width, _ = yuv.shape
    if kind == "yuyv":
        pixels = np.empty((height, width, 2), np.uint8)
        pixels[..., 0] = yuv[..., 0]
        pairs = yuv.reshape(height, width // 2, 2, 3).mean(axis=2)
        pixels[:, 0::2, 1], pixels[:, 1::2, 1] = pairs[..., 1], pairs[..., 2]
        return Picture(pixels, 0, 0, 0, "yuyv")
    blocks = yuv.reshape(height // 2, 2, width // 2, 2, 3).mean(axis=(1, 3)).astype(np.uint8)
    # NV12 has U V, U V ..., I420 all of U and then all of V.
    chroma = blocks[..., 1:] if kind == "nv12" else np.moveaxis(blocks[..., 1:], -1, 0)
    pixels = np.vstack([yuv[..., 0], chroma.reshape(height // 2, width)])
    return Picture(pixels, 0, 0, 0, kind)
