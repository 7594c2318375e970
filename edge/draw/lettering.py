"""Colours and text on images: one colour a class, what the font needs, lines in the corner."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

import cv2

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FONT = cv2.FONT_HERSHEY_SIMPLEX
# Thickness and text grow with the image; 1 at this height.
REFERENCE_HEIGHT_PX = 360
REPLACEMENT = "?"
BRIGHT = 128  # of 255: half of white
# Golden angle, degrees: neighbouring class ids get hues far apart.
HUE_STEP = 137.508
SATURATION = 0.78
WHITE = 255


def unit_px(image: NDArray[np.uint8]) -> float:
    """Return the width of a line on `(H, W, 3)`, pixels."""
    height: int = image.shape[0]
    return max(1.0, height / REFERENCE_HEIGHT_PX)


def class_color(class_id: int) -> tuple[int, int, int]:
    """Return B, G, R of a class, 0 to 255."""
    rgb = colorsys.hsv_to_rgb(class_id * HUE_STEP / 360 % 1, SATURATION, 1)
    red, green, blue = (round(value * WHITE) for value in rgb)
    return blue, green, red


def luma(color: tuple[int, int, int]) -> float:
    """Return how bright B, G, R is, 0 to 255. Source: ITU-R BT.601."""
    blue, green, red = color
    return 0.114 * blue + 0.587 * green + 0.299 * red


def printable(text: str) -> str:
    """Return a text that can be drawn: control characters and lone surrogates replaced.

    OpenCV 5.0 reads address 0 for half a surrogate pair, which ends the process.
    """
    return "".join(letter if letter.isprintable() else REPLACEMENT for letter in text)


def write_inplace(
    image: NDArray[np.uint8], text: str, at: tuple[int, int], *, color: tuple[int, int, int]
) -> None:
    """Write in black over a point, or where all of the text lies in the image.

    Args:
        image: `(H, W, 3)` uint8, B G R; drawn on.
        text: What of it can be drawn is; OpenCV below 5 has ASCII only.
        at: x and y of the text's lower left corner, pixels.
        color: B, G, R behind the text.
    """
    text = printable(text)
    unit = unit_px(image)
    scale, thickness = 0.5 * unit, max(1, round(2 * unit) // 2)
    (width, height), baseline = cv2.getTextSize(text, FONT, scale, thickness)
    left = max(0, min(at[0], image.shape[1] - width))
    low = max(height + baseline, min(at[1], image.shape[0] - 1))
    upper = (left, low - height - baseline)
    cv2.rectangle(image, upper, (left + width, low), color, cv2.FILLED)
    origin = (left, low - baseline // 2)
    cv2.putText(image, text, origin, FONT, scale, (0, 0, 0), thickness, cv2.LINE_AA)


def write_line_inplace(
    image: NDArray[np.uint8], text: str, *, color: tuple[int, int, int], line: int = 0
) -> None:
    """Write a line of a legend in the upper left corner.

    Args:
        image: `(H, W, 3)` uint8, B G R; drawn on.
        text: What of it can be drawn is.
        color: B, G, R behind the text.
        line: From 0, downwards.
    """
    text = printable(text)
    unit = unit_px(image)
    scale, thickness = 0.5 * unit, max(1, round(unit))
    (width, height), baseline = cv2.getTextSize(text, FONT, scale, thickness)
    margin = round(4 * unit)
    top = margin + line * (height + baseline + margin)
    corner = (margin + width + 2 * margin, top + height + baseline)
    cv2.rectangle(image, (margin, top), corner, color, cv2.FILLED)
    origin = (2 * margin, top + height + baseline // 2)
    ink = (0, 0, 0) if luma(color) >= BRIGHT else (255, 255, 255)
    cv2.putText(image, text, origin, FONT, scale, ink, thickness, cv2.LINE_AA)
