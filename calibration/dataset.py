"""Choose images from a folder: seeded, without duplicates, the same on every file system."""

from __future__ import annotations

import hashlib
import logging
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.capture.images import decode_image, read_bytes
from edge.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.terminal.progress import Progress

# Formats whose size `edge.capture.image_header` can read before anything is decoded.
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png")
# Images too, which people expect to count; they are passed over, and that is said.
OTHER_SUFFIXES = (".avif", ".gif", ".heic", ".heif", ".jp2", ".tif", ".tiff", ".webp")
NAMED = 5
# Calibration takes some 40 ms of CPU an image on SSDLite-MobileNetV2, and the ranges of 50 do as
# well as those of 100.
MOST_CALIBRATE = 100
# Bits of 64 in which the hashes of two images may differ. Measured on 178 COCO photographs: the
# same one at half size and JPEG quality 60 differs in at most 5, two different ones in at least 12.
NEAR_DUPLICATE_BITS = 5
HASH_SHAPE = (8, 8)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Skipped:
    """An image file that was looked at and not chosen, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Images chosen from one folder.

    Attributes:
        root: The folder.
        paths: The chosen files, in the order of the draw.
        digest: `sha256:` over the chosen files' contents, whatever their names and order.
        seed: Of the draw.
        skipped: Files that the draw met and refused: unreadable ones and duplicates.
        contents: Hex digest of each chosen file's contents.
    """

    root: Path
    paths: tuple[Path, ...]
    digest: str
    seed: int
    skipped: tuple[Skipped, ...] = ()
    contents: tuple[str, ...] = ()


def sample(
    folder: Path, *, count: int | None = None, seed: int, progress: Progress | None = None
) -> ImageSet:
    """Draw `count` images from a folder and its subfolders.

    Which ones depends on the seed, the files' relative names and their contents, and on nothing
    else: not on the order in which the file system lists them. Unreadable files, duplicates and
    near-duplicates are replaced by the next of the draw, listed in `skipped` and logged.

    Args:
        folder: Searched for files with one of `SUFFIXES`; hidden files and folders are left alone.
        count: Images wanted, >= 1; a folder with fewer distinct ones gives what it has, with a
            warning. `None` takes `MOST_CALIBRATE`, or all of fewer.
        seed: Any integer.
        progress: Called with (images chosen, images wanted).

    Raises:
        SourceError: The folder is not there or holds no readable image.
    """
    drawn = draw(folder, count=count or MOST_CALIBRATE, seed=seed, progress=progress)
    if count is not None and len(drawn.paths) < count:
        _log.warning(
            "%s: expected %d distinct images, found %d (%d skipped); all of them are used",
            folder, count, len(drawn.paths), len(drawn.skipped),
        )  # fmt: skip
    return drawn


def draw(folder: Path, *, count: int, seed: int, progress: Progress | None = None) -> ImageSet:
    """Draw at most so many images: `sample` without its warning."""
    ranked = rank(_image_files(folder), seed=seed, root=folder)
    chosen: list[tuple[Path, str]] = []
    hashes: list[NDArray[np.bool_]] = []
    skipped: list[Skipped] = []
    for path in ranked:
        if len(chosen) == count:
            break
        try:
            data = read_bytes(path)
            perceptual = difference_hash(decode_image(data, path))
        except SourceError as error:
            skipped.append(_skip(path, str(error)))
            continue
        content = hashlib.sha256(data).hexdigest()
        twin = _twin(chosen, hashes, content=content, perceptual=perceptual)
        if twin:
            skipped.append(_skip(path, f"{path}: {twin}"))
            continue
        chosen.append((path, content))
        hashes.append(perceptual)
        if progress:
            progress(len(chosen), count)
    if not chosen:
        raise SourceError(
            f"{folder}: none of its {len(skipped)} image files can be read, "
            f"the first because {skipped[0].reason}"
        )
    paths, contents = zip(*chosen, strict=True)
    digest = digest_of_contents(contents)
    return ImageSet(folder, tuple(paths), digest, seed, tuple(skipped), contents)


def image_set(root: Path, paths: Iterable[Path], *, seed: int) -> ImageSet:
    """Return an `ImageSet` of exactly these files, such as those of a list.

    Raises:
        SourceError: There are none, or one cannot be read.
    """
    chosen = tuple(paths)
    if not chosen:
        raise SourceError(f"{root}: expected at least one image, found an empty list; name some")
    contents = tuple(hashlib.sha256(read_bytes(path)).hexdigest() for path in chosen)
    return ImageSet(root, chosen, digest_of_contents(contents), seed, contents=contents)


def rank(paths: Iterable[Path], *, seed: int, root: Path | None = None) -> list[Path]:
    """Return the paths in the order of a seeded draw.

    The order is that of a hash of seed and name, so a file that is added or removed moves no other.

    Args:
        paths: In any order.
        seed: Any integer.
        root: Names are relative to it; `None` takes the bare file names.
    """

    def key(path: Path) -> tuple[bytes, str]:
        name = path.relative_to(root).as_posix() if root else path.name
        # macOS lists "é" decomposed, Linux as it was written.
        text = f"{seed}:{unicodedata.normalize('NFC', name)}"
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest(), path.as_posix()

    return sorted(paths, key=key)


def digest_of_contents(contents: Iterable[str]) -> str:
    """Return one `sha256:` digest of several files' hex digests, independent of their order."""
    return "sha256:" + hashlib.sha256("\n".join(sorted(contents)).encode()).hexdigest()


def difference_hash(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return 64 bits that a resize or a new JPEG compression hardly changes.

    Each says whether a pixel of the 9x8 gray thumbnail is darker than its right neighbour.

    Args:
        image: `(H, W, 3)` uint8, B G R.

    Source: N. Krawetz 2013, "Kind of Like That" (dHash).
    """
    rows, columns = HASH_SHAPE
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    thumbnail = cv2.resize(gray, (columns + 1, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(thumbnail[:, 1:] > thumbnail[:, :-1]).ravel()


def _image_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise SourceError(f"{folder}: expected a folder of images, found none; check the path")
    shown = [
        path
        for path in folder.rglob("*")
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    files = [path for path in shown if path.suffix.lower() in SUFFIXES and path.is_file()]
    others = sorted(path.name for path in shown if path.suffix.lower() in OTHER_SUFFIXES)
    names = ", ".join(others[:NAMED]) + (" …" if len(others) > NAMED else "")
    if not files:
        found = f"only {names}; convert them" if others else "none; check the path"
        raise SourceError(f"{folder}: expected images ({', '.join(SUFFIXES)}), found {found}")
    if others:
        _log.warning(
            "%s: %d images of kinds that are not read are passed over: %s; convert them",
            folder, len(others), names,
        )  # fmt: skip
    return files


def _twin(
    chosen: list[tuple[Path, str]],
    hashes: list[NDArray[np.bool_]],
    *,
    content: str,
    perceptual: NDArray[np.bool_],
) -> str:
    if not chosen:
        return ""
    for path, other in chosen:
        if other == content:
            return f"the same bytes as {path}"
    bits = np.count_nonzero(np.stack(hashes) != perceptual, axis=1)  # (chosen,)
    nearest = int(bits.argmin())
    if bits[nearest] <= NEAR_DUPLICATE_BITS:
        return f"looks like {chosen[nearest][0]} ({bits[nearest]} of 64 hash bits differ)"
    return ""


def _skip(path: Path, reason: str) -> Skipped:
    _log.warning("skipped %s", reason)
    return Skipped(path, reason)
