"""Read a folder that has a subfolder of images for each class, named as the class is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.errors import SourceError
from edge.evaluation.pairing import absolute
from edge.evaluation.truth import FrameTruth
from edge.record import storable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def read(folder: Path, images: Sequence[Path]) -> FrameTruth:
    """Return the class of each of the images below a folder: the first folder on the way to it.

    Raises:
        SourceError: It is no folder, or has no subfolder with any of the images.
    """
    if not folder.is_dir():
        raise SourceError(
            f"{folder}: expected a folder that has a subfolder of images for each class, found "
            f"{'a file' if folder.exists() else 'nothing'}; give that folder"
        )
    root = absolute(folder)
    places = {path: absolute(path) for path in images}
    found = {
        path: storable(place.relative_to(root).parts[0])
        for path, place in places.items()
        if root in place.parent.parents
    }
    if not found:
        raise SourceError(
            f"{folder}: expected a subfolder of images for each class, named as the class is, "
            f"found none of the {len(images)} images in one; move them, or give another folder"
        )
    names = sorted(set(found.values()))
    files = dict(enumerate(found, start=1))
    labels = {key: names.index(found[path]) for key, path in files.items()}
    return FrameTruth(folder, files, labels, tuple(names))
