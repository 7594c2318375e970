"""Read a folder of masks, one an image: a class id for each pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge.errors import SourceError
from edge.evaluation.faults import Faults
from edge.evaluation.images import opened
from edge.evaluation.label_files import names_beside
from edge.evaluation.pairing import Claim, ImageIndex, absolute
from edge.evaluation.truth import MaskTruth, merge_names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SUFFIXES = (".bmp", ".gif", ".png", ".tif", ".tiff")
# A mask may be called as its image is, or so.
NAME_END = "_mask"
# Pixels that nobody judges. Source: VOC's `SegmentationClass`, Cityscapes' train ids.
VOID = 255
# Whether a folder holds 0 and 255 only, is told by so many of its masks.
LOOKED_AT = 16
# Pillow's modes of gray values and of a palette's indices; the latter are class ids as they are.
GRAY_MODES = ("1", "L", "P", "I", "I;16", "I;16B")


def read(folder: Path, images: Sequence[Path], *, names: tuple[str, ...] | None) -> MaskTruth:
    """Find the mask of each of these images.

    Args:
        folder: Of masks named as the images are, or so with `NAME_END`.
        images: The images.
        names: Text of each class id; `None` looks for a file of them.
    """
    faults = Faults()
    index = ImageIndex(images)
    pairs = index.pair(claims(folder, index), folder, faults)
    if {absolute(claim.place) for claim, _ in pairs} & {absolute(image) for _, image in pairs}:
        raise SourceError(
            f"{folder}: expected masks, found images among them of the same names; give a folder "
            "that holds masks only"
        )
    pairs.sort(key=lambda pair: pair[1].name)
    masks = [claim.place for claim, _ in pairs]
    labels = names or names_beside(folder, faults)
    return MaskTruth(
        path=folder,
        files=dict(enumerate(image for _, image in pairs)),
        masks=dict(enumerate(masks)),
        names=labels,
        is_binary=_is_binary(masks[:LOOKED_AT]),
        merged=merge_names(dict(enumerate(labels or ())), faults),
        faults=faults,
    )


def claims(folder: Path, index: ImageIndex) -> list[Claim]:
    """Return the files of a folder that may be masks; an image may lie beside its own."""
    every = [
        Claim(path, path.name, stem=path.stem.removesuffix(NAME_END))
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES
    ]
    return [claim for claim in every if index.candidates(claim) or not index.holds(claim.place)]


def read_mask(path: Path, *, is_binary: bool) -> NDArray[np.uint8]:
    """Read one mask: gray values, or a palette's indices.

    Args:
        path: Of an image file.
        is_binary: It must hold 0 and 255 only, which become 0 and 1.

    Returns:
        `(H, W)` uint8 class ids; `VOID` is judged by nobody.

    Raises:
        SourceError: It cannot be read, or holds what is no class id.
    """
    values = _values(path)
    if is_binary:
        if not np.isin(values, (0, 255)).all():
            raise SourceError(
                f"{path}: expected 0 and 255 only, as in the masks beside it, found other values; "
                "write it again without interpolation"
            )
        return (values // 255).astype(np.uint8)
    if values.max(initial=0) > VOID or values.min(initial=0) < 0:
        raise SourceError(
            f"{path}: expected class ids up to {VOID}, found {values.max()}; write 8-bit class ids"
        )
    return np.ascontiguousarray(values, np.uint8)


def _is_binary(paths: Sequence[Path]) -> bool:
    """Return whether masks hold 0 and 255 only; one that cannot be read is named in its turn."""
    values: set[int] = set()
    faults: list[SourceError] = []
    for path in paths:
        try:
            found = _values(path)
        except SourceError as error:
            faults.append(error)
            continue
        values |= set(np.unique(found).tolist())
    if faults and not values:
        raise faults[0]
    return VOID in values and values <= {0, VOID}


def _values(path: Path) -> NDArray[Any]:
    """Return `(H, W)` gray values or indices."""
    with opened(path) as image:
        if image.mode in GRAY_MODES:
            values = np.asarray(image)
            return values * np.uint8(255) if values.dtype == np.bool_ else values
        colors = np.asarray(image.convert("RGB"))  # (H, W, 3)
    if (colors == colors[..., :1]).all():
        return colors[..., 0]
    raise SourceError(
        f"{path}: expected class ids as gray values or a palette's indices, found colours; "
        "save it as indexed PNG"
    )
