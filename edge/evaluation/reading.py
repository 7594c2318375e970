"""Tell what a set of annotations is by what it holds, and read it."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

from edge.errors import SourceError
from edge.evaluation import class_folder, coco_file, mask_folder, voc_folder, yolo_folder
from edge.evaluation.images import chosen, find_images
from edge.evaluation.label_files import read_names
from edge.evaluation.pairing import Claim, ImageIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge.evaluation.truth import Truth

__all__ = ["chosen", "find_images", "read"]


def read(annotations: Path, images: Sequence[Path], *, names_path: Path | None = None) -> Truth:
    """Read annotations of these images, of whatever form.

    Args:
        annotations: A COCO `instances` file; or a folder of VOC XML files, of YOLO text files, of
            masks, or with one COCO file; or the images' own, one folder in it a class.
        images: The images.
        names_path: File of the names of YOLO's or the masks' class ids; `None` looks for one
            beside them.
    """
    labels = read_names(names_path) if names_path else None
    if annotations.is_dir():
        return _read_folder(annotations, images, labels)
    return coco_file.read(annotations, images)


def _read_folder(
    annotations: Path, images: Sequence[Path], labels: tuple[str, ...] | None
) -> Truth:
    index = ImageIndex(images)
    files: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(annotations.rglob("*")):
        files[path.suffix.lower()].append(path)

    def fits(suffix: str) -> bool:
        """Return whether a file is named as an image is."""
        claims = (Claim(path, path.name, stem=path.stem) for path in files[suffix])
        return any(map(index.candidates, claims))

    # What is named as the images are goes before what may lie there by chance.
    if fits(".xml"):
        return voc_folder.read(annotations, images)
    if fits(".txt"):
        return yolo_folder.read(annotations, images, names=labels)
    read = _by_pixels(annotations, images, labels)
    jsons = [path for path in files[".json"] if path.parent == annotations] or files[".json"]
    if len(jsons) == 1:
        try:
            return coco_file.read(jsons[0], images)
        except coco_file.OtherForm:
            if not (read or files[".xml"]):
                raise
    if read:
        return read()
    if files[".xml"]:
        return voc_folder.read(annotations, images)
    raise SourceError(f"{annotations}: expected {_wanted(len(jsons))}")


def _by_pixels(
    annotations: Path, images: Sequence[Path], labels: tuple[str, ...] | None
) -> Callable[[], Truth] | None:
    """Return what reads a folder of images: masks, or those that are sorted by their class.

    Images that all lie in one folder may be of one class, or have their masks in the other.
    """
    found = set(class_folder.find_classes(annotations, images).values())
    names = class_folder.all_classes(annotations) if found else ()
    may_be_sorted = len(names) >= class_folder.LEAST_CLASSES
    is_sorted = len(found) >= class_folder.LEAST_CLASSES or any(map(class_folder.is_good, names))
    index = ImageIndex(images)
    if not (may_be_sorted and is_sorted) and any(
        map(index.candidates, mask_folder.claims(annotations, index))
    ):
        return partial(mask_folder.read, annotations, images, names=labels)
    return partial(class_folder.read, annotations, images) if may_be_sorted else None


def _wanted(jsons: int) -> str:
    if jsons:
        return (
            f"one COCO file, found {jsons} JSON files; give the one to read by its name, or export "
            "the set as COCO, YOLO or VOC"
        )
    return (
        "a COCO file, VOC XML files, YOLO text files or masks named as the images are, or the "
        "images themselves in a folder for each class, found none of them; choose another folder"
    )
