"""The built-in source `demo:`: a camera that pans and zooms over three real photographs.

Frame k is the same bytes on every machine, for one frame size: the geometry is integer, the
photographs are decoded by libjpeg's integer transform without chroma subsampling, and both resizes
use OpenCV's bit-exact linear kernel. Measured on 2 x86 cores at 1280x720: 0.8 ms a frame.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.capture.images import load_image
from edge.capture.source import Paced
from edge.errors import SourceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.capture.options import SourceOptions

DEFAULT_SIZE_WH = (1280, 720)
DEFAULT_RATE_HZ = 30.0
FRAMES_PER_SCENE = 120
# The photographs are enlarged once, so that a view moves by less than two frame pixels at a time.
ENLARGEMENT = 2
PERMILLE = 1000
SCENES_FOLDER = Path(__file__).with_name("scenes")


@dataclass(frozen=True, slots=True)
class View:
    """A part of a photograph, in thousandths, and in integers: the same on every machine.

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


# File, first view, last view: each keeps the person, the cat or the cup in sight.
SCENES = (
    ("astronaut.jpg", View(500, 290, 1000), View(400, 280, 780)),
    ("chelsea.jpg", View(500, 470, 1000), View(530, 450, 850)),
    ("coffee.jpg", View(350, 450, 1000), View(450, 420, 850)),
)


class Scenes:
    """Draws the frames of the built-in scenes."""

    def __init__(self) -> None:
        self._photos = [_load_photo(SCENES_FOLDER / name) for name, _, _ in SCENES]

    def render(self, index: int, *, out: NDArray[np.uint8]) -> None:
        """Draw frame `index`, from 0, into `out`, `(H, W, 3)` uint8 of any size."""
        scene, step = divmod(index, FRAMES_PER_SCENE)
        photo = self._photos[scene % len(SCENES)]
        _, first, last = SCENES[scene % len(SCENES)]
        view = first.towards(last, step=step, steps=FRAMES_PER_SCENE - 1)
        frame_wh = (out.shape[1], out.shape[0])
        x, y, width, height = view.rectangle((photo.shape[1], photo.shape[0]), frame_wh)
        cropped = photo[y : y + height, x : x + width]  # (h, w, 3), a view
        cv2.resize(cropped, frame_wh, dst=out, interpolation=cv2.INTER_LINEAR_EXACT)


def open_demo(location: str, options: SourceOptions) -> Paced:
    """Open the endless frames of the built-in scenes.

    Args:
        location: What stood after `demo:`; nothing may.
        options: Size (1280x720) and rate (30 Hz) of the frames; live unless `realtime` is False.
            The rate changes when frames come, never what is in them.
    """
    check_demo(location, options)
    live = options.realtime is not False
    width, height = options.size_wh or DEFAULT_SIZE_WH
    scenes, indices = Scenes(), itertools.count()

    def next_image(buffer: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
        if buffer is None or buffer.shape != (height, width, 3):
            buffer = np.empty((height, width, 3), np.uint8)
        scenes.render(next(indices), out=buffer)
        return buffer

    rate_hz = (options.rate_hz or DEFAULT_RATE_HZ) if live else None
    return Paced(next_image, live=live, rate_hz=rate_hz)


def check_demo(location: str, options: SourceOptions) -> None:  # noqa: ARG001 - all can be had
    """Refuse what stands after `demo:`."""
    if location:
        raise SourceError(f"demo: takes nothing after its colon, got {location!r}; write demo:")


def _load_photo(path: Path) -> NDArray[np.uint8]:
    photo = load_image(path)
    size_wh = (photo.shape[1] * ENLARGEMENT, photo.shape[0] * ENLARGEMENT)
    enlarged = np.empty((size_wh[1], size_wh[0], 3), np.uint8)
    cv2.resize(photo, size_wh, dst=enlarged, interpolation=cv2.INTER_LINEAR_EXACT)
    return enlarged
