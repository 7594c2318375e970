"""The images of a set: which there are, and what is in their files."""

from __future__ import annotations

import contextlib
import struct
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.capture.image_header import check_pixels
from edge.capture.images import IMAGE_SUFFIXES, load_image
from edge.errors import SourceError
from edge.evaluation.label_files import library, read_names
from edge.evaluation.pairing import ImageIndex

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

# A board reads none of these; they are decoded by Pillow.
ODD_SUFFIXES = (".tif", ".tiff", ".webp")
SUFFIXES = (*IMAGE_SUFFIXES, *ODD_SUFFIXES)
# Source: EXIF 2.3, 4.6.4: orientation, and its value where nothing is turned.
ORIENTATION, UPRIGHT = 0x0112, 1
# What Pillow's decoders raise on damaged files.
DECODER_ERRORS = (
    OSError, ValueError, SyntaxError, EOFError, TypeError, LookupError, OverflowError,
    NotImplementedError, struct.error,
)  # fmt: skip


def find_images(folder: Path) -> list[Path]:
    """Return the images of a folder and its subfolders, by name; hidden ones are left alone."""
    if not folder.is_dir():
        raise SourceError(f"{folder}: expected a folder of images, found none; check it with ls")
    found = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not found:
        raise SourceError(
            f"{folder}: expected images ({', '.join(SUFFIXES)}), found none; name a folder "
            "that holds some"
        )
    return sorted(found, key=lambda path: (path.name, str(path)))


def chosen(images: Sequence[Path], names_path: Path) -> list[Path]:
    """Return the images that a file names, one a line, with or without suffix or folders."""
    wanted = ImageIndex(images).chosen(read_names(names_path))
    if not wanted:
        raise SourceError(
            f"{names_path}: expected names of the images, found none of them; write one a line"
        )
    return [path for path in images if path in wanted]


def read_image(path: Path) -> NDArray[np.uint8]:
    """Decode one image to a new `(H, W, 3)`, B G R, upright by its EXIF, as the board does.

    Raises:
        SourceError: It cannot be read.
    """
    if path.suffix.lower() not in ODD_SUFFIXES:
        return load_image(path)
    with opened(path) as image:
        if image.mode[:1] in "IF":
            raise SourceError(
                f"{path}: expected 8 bits a channel, found {image.mode}; convert it to PNG"
            )
        upright = library("PIL.ImageOps").exif_transpose(image).convert("RGB")
        return np.ascontiguousarray(np.asarray(upright)[..., ::-1])  # (H, W, 3)


def upright_size_wh(path: Path) -> tuple[int, int]:
    """Return width and height of an image as `read_image` decodes it, pixels.

    Raises:
        SourceError: It cannot be read.
    """
    with opened(path) as image:
        if image.getexif().get(ORIENTATION, UPRIGHT) == UPRIGHT:
            width, height = image.size
            return width, height
    # Which orientations of which formats are heeded is the decoder's to say.
    height, width = read_image(path).shape[:2]
    return width, height


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open an image file by Pillow, its pixels not decoded yet.

    Raises:
        SourceError: It cannot be read, also where that shows only as its pixels are decoded, or
            claims too many of them.
    """
    pillow = library("PIL.Image")
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pillow.open(file) as image:
                check_pixels(path, image.size)
                yield image
    except SourceError:
        raise
    except (*DECODER_ERRORS, pillow.DecompressionBombError) as error:
        raise SourceError(
            f"{path}: expected an image, found none that can be decoded ({error}); write it again"
        ) from error
