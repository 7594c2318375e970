"""The source `images:`: a folder of images, each once, in the order of their names."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np

from edge.capture.image_header import read_size
from edge.capture.location import find
from edge.capture.opencv import silence_opencv
from edge.capture.pacing import Pacer
from edge.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray
    from typing_extensions import Self

    from edge.capture.source import SourceOptions

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png")
DEFAULT_IMAGE_RATE_HZ = 1.0

logger = logging.getLogger(__name__)


def open_images(location: str, options: SourceOptions) -> ImagesSource:
    """Open a folder of images; an image that cannot be read ends the run with its name.

    Args:
        location: Of the folder, as `location.find` takes it.
        options: Frames have the size of the images; they are paced only if `realtime`.

    Raises:
        SourceError: There is no such folder, or no image in it.
    """
    if options.size_wh is not None:
        raise SourceError(f"images:{location} keeps its own frame sizes; leave the frame size out")
    return open_folder(find("images", location), options)


def open_folder(folder: Path, options: SourceOptions) -> ImagesSource:
    """Open what `open_images` does, by its path."""
    return ImagesSource(_images(folder), options)


class ImagesSource:
    """Images one after the other, each turned upright by its EXIF orientation.

    Args:
        paths: Of the images, in their order; at least one.
        options: `realtime` paces at `rate_hz`, or else at 1 Hz.
    """

    def __init__(self, paths: list[Path], options: SourceOptions) -> None:
        silence_opencv()
        self.live = bool(options.realtime)
        self._paths = paths
        self._loop = options.loop
        self._next = 0
        self._pacer = Pacer((options.rate_hz or DEFAULT_IMAGE_RATE_HZ) if self.live else None)

    def read(self, buffer: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
        """Return the next image once it is due: `Source.read`."""
        if self._next == len(self._paths):
            if not self._loop:
                return None
            self._next = 0
        if not self._pacer.wait():
            return None
        image = load_image(self._paths[self._next])
        self._next += 1
        if buffer is None or buffer.shape != image.shape:
            return image
        np.copyto(buffer, image)
        return buffer

    def interrupt(self) -> None:
        """End a wait for the next image: `Source.interrupt`."""
        self._pacer.interrupt()

    def close(self) -> None:
        """Stop; no file stays open between two images."""
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


def load_image(path: Path) -> NDArray[np.uint8]:
    """Decode one JPEG, PNG or BMP file, upright.

    Returns:
        `(H, W, 3)` uint8, B G R, new.

    Raises:
        SourceError: It is missing, cut short, damaged, too large, or of another kind.
    """
    # The PNG and JPEG decoders print warnings on stderr themselves, so a file that is cut short
    # is found out before they see it.
    image = None
    if read_size(path) is not None:
        # OpenCV gets no name: one that is not UTF-8 ends the process in its `imread`.
        image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise SourceError(
            f"{path}: expected a JPEG, PNG or BMP image, found none that can be decoded; "
            "convert it again, or take it out of the folder"
        )
    return cast("NDArray[np.uint8]", image)


def _images(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise SourceError(
            f"{folder}: cannot be read ({error.strerror}); check it with ls -l"
        ) from error
    shown = [path for path in entries if not path.name.startswith(".")]
    images = [path for path in shown if path.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        raise SourceError(
            f"{folder}: expected a folder of images ({', '.join(IMAGE_SUFFIXES)}), found none in "
            f"{len(shown)} entries; name a folder that holds some"
        )
    if len(images) < len(shown):
        logger.info("%s: %d entries are no images, passed over", folder, len(shown) - len(images))
    return images
