"""Tell what a set of annotations is by what it holds, and read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.errors import SourceError
from edge.evaluation import coco_file, mask_folder, names, voc_folder, yolo_folder
from edge.evaluation.images import chosen, find_images
from edge.evaluation.pairing import Claim, ImageIndex

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.evaluation.truth import Truth

__all__ = ["chosen", "find_images", "read"]


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
    index = ImageIndex(images)
    files = sorted(annotations.rglob("*"))

    def fits(path: Path) -> bool:
        return bool(index.candidates(Claim(path, path.name, stem=path.stem)))

    documents = [path for path in files if path.suffix.lower() == ".xml"]
    # What is named as the images are goes before what may lie there by chance.
    if any(map(fits, documents)):
        return voc_folder.read(annotations, images)
    if any(fits(path) for path in files if path.suffix.lower() == ".txt"):
        return yolo_folder.read(annotations, images, names=labels)
    masks = any(map(index.candidates, mask_folder.claims(annotations, index)))
    jsons = [path for path in files if path.suffix.lower() == ".json"]
    jsons = [path for path in jsons if path.parent == annotations] or jsons
    if len(jsons) == 1:
        try:
            return coco_file.read(jsons[0], images)
        except coco_file.OtherForm:
            if not (masks or documents):
                raise
    if masks:
        return mask_folder.read(annotations, images, names=labels)
    if documents:
        return voc_folder.read(annotations, images)
    raise SourceError(_nothing_known(annotations, len(jsons)))


def _nothing_known(annotations: Path, jsons: int) -> str:
    if jsons:
        return (
            f"{annotations}: expected one COCO file, found {jsons} JSON files; give the one to "
            "read by its name, or export the set as COCO, YOLO or VOC"
        )
    return (
        f"{annotations}: expected a COCO file, VOC XML files, YOLO text files or masks named as "
        "the images are, found none of them; choose another folder"
    )
