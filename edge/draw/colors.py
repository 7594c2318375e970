"""One colour a class, the same in every image."""

from __future__ import annotations

import colorsys

# Golden angle, degrees: neighbouring class ids get hues far apart.
HUE_STEP = 137.508
SATURATION = 0.78
WHITE = 255


def class_color(class_id: int) -> tuple[int, int, int]:
    """Return B, G, R of a class, 0 to 255."""
    rgb = colorsys.hsv_to_rgb(class_id * HUE_STEP / 360 % 1, SATURATION, 1)
    red, green, blue = (round(value * WHITE) for value in rgb)
    return blue, green, red


def luma(color: tuple[int, int, int]) -> float:
    """Return how bright B, G, R is, 0 to 255. Source: ITU-R BT.601."""
    blue, green, red = color
    return 0.114 * blue + 0.587 * green + 0.299 * red
