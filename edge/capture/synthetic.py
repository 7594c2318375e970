"""The built-in source `demo:`: a camera that pans and zooms over three real photographs.

Frame k is the same bytes on every machine, for one frame size: the geometry is integer, the
photographs are decoded by libjpeg's integer transform without chroma subsampling, and both resizes
use OpenCV's bit-exact linear kernel. Measured on 2 x86 cores at 1280x720: 0.8 ms a frame.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.capture.pacing import Pacer
from edge.capture.view import View
from edge.errors import SourceError

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray
    from typing_extensions import Self

    from edge.capture.source import SourceOptions

DEFAULT_SIZE_WH = (1280, 720)
DEFAULT_RATE_HZ = 30.0
FRAMES_PER_SCENE = 120
# The photographs are enlarged once, so that a view moves by less than two frame pixels at a time.
ENLARGEMENT = 2
SCENES_FOLDER = Path(__file__).with_name("scenes")
# File, first view, last view: each keeps the person, the cat or the cup in sight.
SCENES = (
    ("astronaut.jpg", View(500, 290, 1000), View(400, 280, 780)),
    ("chelsea.jpg", View(500, 470, 1000), View(530, 450, 850)),
    ("coffee.jpg", View(350, 450, 1000), View(450, 420, 850)),
)


class DemoSource:
    """Endless frames of the built-in scenes, paced like a camera or as fast as they are taken.

    Args:
        location: What stood after `demo:`; nothing may.
        options: Size (1280x720) and rate (30 Hz) of the frames; live unless `realtime` is False.
            The rate changes when frames come, never what is in them.
    """

    def __init__(self, location: str, options: SourceOptions) -> None:
        if location:
            raise SourceError(f"demo: takes nothing after its colon, got {location!r}; write demo:")
        self.live = options.realtime is not False
        self._size_wh = options.size_wh or DEFAULT_SIZE_WH
        self._pacer = Pacer((options.rate_hz or DEFAULT_RATE_HZ) if self.live else None)
        self._photos = [_load_photo(SCENES_FOLDER / name) for name, _, _ in SCENES]
        self._next = 0

    def read(self, buffer: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
        """Return the next image once it is due: `Source.read`."""
        if not self._pacer.wait():
            return None
        width, height = self._size_wh
        if buffer is None or buffer.shape != (height, width, 3):
            buffer = np.empty((height, width, 3), np.uint8)
        self.render(self._next, out=buffer)
        self._next += 1
        return buffer

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

    def interrupt(self) -> None:
        """End a wait for the next frame: `Source.interrupt`."""
        self._pacer.interrupt()

    def close(self) -> None:
        """Stop; there is no device to let go of."""
        self._pacer.interrupt()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _load_photo(path: Path) -> NDArray[np.uint8]:
    photo = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if photo is None:
        raise SourceError(
            f"{path}: expected a photograph of the built-in source, found none that can be read; "
            "install edge-vision again"
        )
    size_wh = (photo.shape[1] * ENLARGEMENT, photo.shape[0] * ENLARGEMENT)
    enlarged = np.empty((size_wh[1], size_wh[0], 3), np.uint8)
    cv2.resize(photo, size_wh, dst=enlarged, interpolation=cv2.INTER_LINEAR_EXACT)
    return enlarged
