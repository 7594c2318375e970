"""Read a folder of folders of images: the class of an image is the folder that it lies in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.evaluation.images import SUFFIXES
from edge.evaluation.pairing import absolute
from edge.evaluation.truth import ClassTruth

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LEAST_CLASSES = 2
# What folders of images without anything unusual are called. Source: MVTec AD calls them `good`.
GOOD = ("good", "normal", "ok")


def find_classes(folder: Path, images: Sequence[Path]) -> dict[Path, str]:
    """Return the class of each of the images that lies in a folder of this one."""
    places = {path: absolute(path).parent for path in images}
    root = absolute(folder)
    return {path: place.name for path, place in places.items() if place.parent == root}


def is_good(name: str) -> bool:
    """Return whether a folder of that name holds images without anything unusual."""
    return name.casefold() in GOOD


def all_classes(folder: Path) -> tuple[str, ...]:
    """Return the names of the folders in it that hold images."""
    images = (path for path in folder.glob("*/*") if path.suffix.lower() in SUFFIXES)
    return tuple(sorted({path.parent.name for path in images}))


def read(folder: Path, images: Sequence[Path]) -> ClassTruth:
    """Return the classes of images of a folder, which `find_classes` found.

    The classes are those of all images in it, whether they are asked for or not.
    """
    found = find_classes(folder, images)
    names = all_classes(folder)
    return ClassTruth(
        path=folder,
        files=dict(enumerate(found)),
        names=names,
        class_ids={key: names.index(name) for key, name in enumerate(found.values())},
    )
