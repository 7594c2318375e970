"""Where a moving view lies in a still photograph, in integers: the same on every machine."""

from __future__ import annotations

from dataclasses import dataclass

PERMILLE = 1000


@dataclass(frozen=True, slots=True)
class View:
    """A part of a photograph, in thousandths.

    Attributes:
        x: Of the centre, from the photograph's left edge to its right.
        y: Of the centre, from the top edge to the bottom.
        zoom: Width, of the widest view with the frame's aspect that fits into the photograph.
    """

    x: int
    y: int
    zoom: int

    def towards(self, end: View, *, step: int, steps: int) -> View:
        """Return the view at `step` of `steps` of a move that starts and stops gently.

        Source: the smoothstep polynomial t²(3 - 2t) of t = step / steps, with denominator steps³.
        """
        weight, whole = step * step * (3 * steps - 2 * step), steps**3

        def mix(first: int, last: int) -> int:
            return first + (last - first) * weight // whole

        return View(mix(self.x, end.x), mix(self.y, end.y), mix(self.zoom, end.zoom))

    def rectangle(
        self, photo_wh: tuple[int, int], frame_wh: tuple[int, int]
    ) -> tuple[int, int, int, int]:
        """Return x, y, width and height of the view, pixels: in the photograph, at least 1x1."""
        photo_width, photo_height = photo_wh
        frame_width, frame_height = frame_wh
        widest = min(photo_width, photo_height * frame_width // frame_height)
        width = max(1, widest * self.zoom // PERMILLE)
        height = min(photo_height, max(1, width * frame_height // frame_width))
        x = photo_width * self.x // PERMILLE - width // 2
        y = photo_height * self.y // PERMILLE - height // 2
        return (
            max(0, min(x, photo_width - width)),
            max(0, min(y, photo_height - height)),
            width,
            height,
        )
