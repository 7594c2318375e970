"""Tell what a set of annotations is by what it holds, and read it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from edge.errors import SourceError
from edge.evaluation import class_folder, coco_file, mask_folder, voc_folder, yolo_folder
from edge.evaluation.images import chosen, find_images
from edge.evaluation.label_files import read_names
from edge.evaluation.pairing import Claim, ImageIndex
from edge.evaluation.truth import BoxTruth, FrameTruth

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.evaluation.truth import Truth

__all__ = ["chosen", "find_images", "read"]


def read(
    annotations: Path,
    images: Sequence[Path],
    *,
    names_path: Path | None = None,
    holds: str = BoxTruth.holds,
) -> Truth:
    """Read annotations of these images, of whatever form.

    Args:
        annotations: A COCO `instances` file; or a folder of VOC XML files, of YOLO text files, of
            masks, or with one COCO file.
        images: The images.
        names_path: File of the names of YOLO's or the masks' class ids; `None` looks for one
            beside them.
        holds: What they are to hold. Folders of classes are read as such where they are wanted: by
            what they hold they could be masks.
    """
    if holds == FrameTruth.holds and annotations.is_dir():
        return class_folder.read(annotations, images)
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
    masks = any(map(index.candidates, mask_folder.claims(annotations, index)))
    jsons = [path for path in files[".json"] if path.parent == annotations] or files[".json"]
    if len(jsons) == 1:
        try:
            return coco_file.read(jsons[0], images)
        except coco_file.OtherForm:
            if not (masks or files[".xml"]):
                raise
    if masks:
        return mask_folder.read(annotations, images, names=labels)
    if files[".xml"]:
        return voc_folder.read(annotations, images)
    wanted = (
        f"one COCO file, found {len(jsons)} JSON files; give the one to read by its name, or "
        "export the set as COCO, YOLO or VOC"
        if jsons
        else "a COCO file, VOC XML files, YOLO text files or masks named as the images are, found "
        "none of them; choose another folder"
    )
    raise SourceError(f"{annotations}: expected {wanted}")
