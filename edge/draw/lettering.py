"""Text on images: what the font needs, and what may be handed to it."""

from __future__ import annotations

# Thickness and text grow with the image; 1 at this height.
REFERENCE_HEIGHT_PX = 360
REPLACEMENT = "?"


def printable(text: str) -> str:
    """Return a text that can be drawn: control characters and lone surrogates replaced.

    OpenCV 5.0 reads address 0 for half a surrogate pair, which ends the process.
    """
    return "".join(letter if letter.isprintable() else REPLACEMENT for letter in text)
