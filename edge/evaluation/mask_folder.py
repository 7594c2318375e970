"""Read a folder of masks, one an image: a class id for each pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge.capture.image_header import PNG_MAGIC, png_chunks, read_size
from edge.capture.opencv import silence_opencv
from edge.errors import SourceError
from edge.evaluation import names as names_file
from edge.evaluation.faults import ABSENT, Faults
from edge.evaluation.truth import MaskTruth

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SUFFIXES = (".bmp", ".png")
# A mask may be called as its image is, or so.
NAME_END = "_mask"
# Pixels that nobody judges. Source: VOC's `SegmentationClass`, Cityscapes' train ids.
VOID = 255
# Whether a folder holds 0 and 255 only, is told by so many of its masks.
LOOKED_AT = 16
COLOR_AXES = 3


def read(folder: Path, images: Sequence[Path], *, names: tuple[str, ...] | None) -> MaskTruth:
    """Find the mask of each of these images.

    Args:
        folder: Of PNG or BMP files named as the images are, or so with `NAME_END`.
        images: The images.
        names: Text of each class id; `None` looks for a file of them.

    Raises:
        SourceError: No mask fits an image, or those of the first images cannot be read.
    """
    silence_opencv()
    by_stem = {path.stem: path for path in reversed(images)}
    faults = Faults()
    masks: dict[Path, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES:
            continue
        image = by_stem.get(path.stem.removesuffix(NAME_END))
        if image is None:
            faults.add(ABSENT, path.name)
        elif image.resolve() != path.resolve():
            masks[image] = path
    if not masks:
        raise SourceError(
            f"{folder}: expected masks named as the images are, found none; choose the folder that "
            "belongs to the images"
        )
    files = sorted(masks.items(), key=lambda pair: pair[0].name)
    names_path = None if names else names_file.find(folder)
    return MaskTruth(
        path=folder,
        files=tuple(files),
        names=names_file.read(names_path) if names_path else names,
        is_binary=_is_binary([mask for _, mask in files[:LOOKED_AT]]),
        faults=faults,
    )


def read_mask(path: Path, *, is_binary: bool) -> NDArray[np.uint8]:
    """Read one mask: gray values, or a palette's indices.

    Args:
        path: A PNG or BMP file.
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
    if values.max(initial=0) > VOID:
        raise SourceError(
            f"{path}: expected class ids up to {VOID}, found {values.max()}; write 8-bit class ids"
        )
    return np.ascontiguousarray(values, np.uint8)


def _is_binary(paths: Sequence[Path]) -> bool:
    found = [_levels(path) for path in paths]
    if not any(found):
        _values(paths[0])  # raises what is wrong with it
    values = set[int]().union(*found)
    return VOID in values and values <= {0, VOID}


def _levels(path: Path) -> set[int]:
    """Return the values of a mask; of one that cannot be read, none: its turn comes later."""
    try:
        return set(np.unique(_values(path)).tolist())
    except SourceError:
        return set()


def _values(path: Path) -> NDArray[Any]:
    """Return `(H, W)` gray values or indices, of uint8 or uint16."""
    pixels: NDArray[Any] | None = None
    palette = None
    if read_size(path) is not None:
        palette = _palette(path)
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise SourceError(
            f"{path}: expected a PNG or BMP mask, found none that can be decoded; write it again"
        )
    if pixels.ndim < COLOR_AXES:
        return pixels
    colors = pixels[..., :3]  # (H, W, 3) B G R
    if (colors == colors[..., :1]).all() and palette is None:
        gray: NDArray[Any] = colors[..., 0]
        return gray
    return _indices(path, colors, palette)


def _indices(
    path: Path, colors: NDArray[Any], palette: NDArray[np.uint8] | None
) -> NDArray[np.uint8]:
    if palette is None or colors.dtype != np.uint8:
        raise SourceError(
            f"{path}: expected class ids as gray values or a palette's indices, found colours; "
            "save it as indexed PNG"
        )
    packed = _packed(colors)  # (H, W)
    known = _packed(palette[:, ::-1])  # (P,), of B G R
    # Of equal colours the first index counts: tools fill a palette up with black.
    sorted_colors, first = np.unique(known, return_index=True)
    where = np.searchsorted(sorted_colors, packed).clip(max=len(sorted_colors) - 1)
    if (sorted_colors[where] != packed).any():
        raise SourceError(f"{path}: its pixels are not of its palette; write it again")
    indices: NDArray[np.uint8] = first[where].astype(np.uint8)
    return indices


def _packed(colors: NDArray[np.uint8]) -> NDArray[np.int64]:
    widened = colors.astype(np.int64)
    packed: NDArray[np.int64] = (widened[..., 0] << 16) | (widened[..., 1] << 8) | widened[..., 2]
    return packed


def _palette(path: Path) -> NDArray[np.uint8] | None:
    """Return `(P, 3)` R G B of a PNG file that is whole, or `None`. Source: PNG, 11.2.2."""
    with path.open("rb") as file:
        if file.read(len(PNG_MAGIC)) != PNG_MAGIC:
            return None
        for kind, length in png_chunks(file):
            if kind == b"PLTE" and length >= COLOR_AXES:
                return np.frombuffer(file.read(length // 3 * 3), np.uint8).reshape(-1, 3)
    return None
