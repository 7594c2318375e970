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


def find_classes(folder: Path, images: Sequence[Path]) -> dict[Path, str]:
    """Return the class of each image; of none, where all of them lie in one folder."""
    root = absolute(folder)
    found = {path: path.parent.name for path in images if absolute(path).parent.parent == root}
    return found if len(set(found.values())) >= LEAST_CLASSES else {}


def read(folder: Path, images: Sequence[Path]) -> ClassTruth:
    """Return the classes of images of a folder, which `find_classes` found.

    The classes are those of all images in it, whether they are asked for or not.
    """
    found = find_classes(folder, images)
    every = {path.parent.name for path in folder.glob("*/*") if path.suffix.lower() in SUFFIXES}
    names = tuple(sorted(every))
    return ClassTruth(
        path=folder,
        files=dict(enumerate(found)),
        names=names,
        class_ids={key: names.index(name) for key, name in enumerate(found.values())},
    )
