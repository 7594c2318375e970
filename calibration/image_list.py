"""A drawn image set in a JSON file: to take the same again, or to notice that they changed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from calibration.dataset import ImageSet, image_set
from calibration.store import write_json
from edge.errors import SourceError
from edge.record import Record, Unsound, read_json


class _Skipped(Record, frozen=True):
    image: str
    reason: str


class ImageList(Record, frozen=True, kw_only=True):
    """What `edge-calibrate sample` writes.

    Attributes:
        root: The folder, as it was named.
        seed: Of the draw.
        digest: Over the images' contents.
        images: Paths relative to `root`, with forward slashes.
        skipped: What the draw refused, and why.
    """

    schema_version: Literal[1] = 1
    root: str
    seed: int
    digest: str
    images: Annotated[tuple[str, ...], Meta(min_length=1)]
    skipped: tuple[_Skipped, ...] = ()


def to_list(images: ImageSet) -> ImageList:
    """Return an image set as its list."""
    return ImageList(
        root=str(images.root),
        seed=images.seed,
        digest=images.digest,
        images=tuple(path.relative_to(images.root).as_posix() for path in images.paths),
        skipped=tuple(
            _Skipped(image=item.path.relative_to(images.root).as_posix(), reason=item.reason)
            for item in images.skipped
        ),
    )


def write(path: Path, images: ImageSet) -> None:
    """Write the list of an image set.

    Raises:
        SinkError: It cannot be written.
    """
    write_json(path, to_list(images).plain())


def read(path: Path) -> ImageSet:
    """Read a list and the images it names.

    Raises:
        SourceError: The list or an image is missing or damaged, or the images are no longer the
            same.
    """
    try:
        content = read_json(ImageList, path.read_bytes())
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be read: {error.strerror}; make it with: edge-calibrate sample"
        ) from error
    except Unsound as error:
        raise SourceError(
            f"{path}: expected a list of edge-calibrate sample, but {error.faults[0]}; "
            "make it again with: edge-calibrate sample"
        ) from error
    root = Path(content.root)
    found = image_set(root, [root / name for name in content.images], seed=content.seed)
    if found.digest != content.digest:
        raise SourceError(
            f"{path}: the images have changed: expected {content.digest[:19]}…, found "
            f"{found.digest[:19]}…; restore them, or draw again with: edge-calibrate sample"
        )
    return found
