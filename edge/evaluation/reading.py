"""Tell what a set of annotations is by what it holds, and read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.capture.images import IMAGE_SUFFIXES
from edge.errors import SourceError
from edge.evaluation import coco_file, mask_folder, names, voc_folder, yolo_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.evaluation.truth import Truth


def find_images(folder: Path) -> list[Path]:
    """Return the images of a folder and its subfolders, by name; hidden ones are left alone.

    Raises:
        SourceError: It is no folder, or holds none.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder}: expected a folder of images, found none; check it with ls")
    found = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not found:
        raise SourceError(
            f"{folder}: expected images ({', '.join(IMAGE_SUFFIXES)}), found none; name a folder "
            "that holds some"
        )
    return sorted(found, key=lambda path: (path.name, str(path)))


def chosen(images: Sequence[Path], names_path: Path) -> list[Path]:
    """Return the images that a file names, one a line, with or without suffix.

    Raises:
        SourceError: It cannot be read, or names none of them.
    """
    wanted = set(names.read(names_path))
    found = [path for path in images if path.name in wanted or path.stem in wanted]
    if not found:
        raise SourceError(
            f"{names_path}: expected names of the images, found none of them; write one a line"
        )
    return found


def read(annotations: Path, images: Sequence[Path], *, names_path: Path | None = None) -> Truth:
    """Read annotations of these images, of whatever form.

    Args:
        annotations: A COCO `instances` file; or a folder of VOC XML files, of YOLO text files, of
            masks, or with one COCO file.
        images: The images.
        names_path: File of the names of YOLO's or the masks' class ids; `None` looks for one
            beside them.

    Raises:
        SourceError: They are of no known form, or fit no image.
    """
    labels = names.read(names_path) if names_path else None
    if not annotations.is_dir():
        return coco_file.read(annotations, images)
    # In this order, as the images may lie in the same folder.
    if any(annotations.rglob("*.xml")):
        return voc_folder.read(annotations, images)
    stems = {path.stem for path in images}
    if any(path.stem in stems for path in annotations.rglob("*.txt")):
        return yolo_folder.read(annotations, images, names=labels)
    files = sorted(annotations.glob("*.json"))
    if len(files) == 1:
        return coco_file.read(files[0], images)
    if any(path.suffix.lower() in mask_folder.SUFFIXES for path in annotations.rglob("*")):
        return mask_folder.read(annotations, images, names=labels)
    raise SourceError(
        f"{annotations}: expected a COCO file, VOC XML files, YOLO text files or masks named as "
        "the images are, found none of them; choose another folder"
    )
