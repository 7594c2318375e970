"""Say what raw outputs mean: from their shapes, the family, and what the person says of anchors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge.decode.segmentation import SegmentationHead
from edge.decode.ssd import SsdHead
from edge.decode.yolo import YoloGrid, YoloHead
from edge.errors import ConfigError, ModelError
from edge.record import read

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converter.choice import Choice

NHWC, ANCHOR_AXES, BOX_SIDES = 4, 3, 4
BOX_AND_OBJECTNESS = 5
MAX_FILE_BYTES = 16 * 2**20
Shape = tuple[int, ...]


def segmentation_head(shape: Shape, path: Path) -> SegmentationHead:
    """Return the head of raw class scores `(1, H, W, C)`.

    Raises:
        ModelError: The output has another shape.
    """
    if len(shape) != NHWC or shape[0] != 1:
        raise ModelError(
            f"{path}: expected class scores of shape (1, height, width, classes), found {shape}; "
            "give a segmentation model, or another --family"
        )
    return SegmentationHead(activation="sigmoid" if shape[3] == 1 else "softmax")


def yolo_head(shapes: dict[str, Shape], path: Path, choice: Choice) -> YoloHead:
    """Return the head of raw grids `(1, H, W, B * (5 + C))`, one a role.

    Raises:
        ConfigError: The anchors are not said, or do not fit the grids.
        ModelError: The outputs are no raw grids.
    """
    for role, shape in shapes.items():
        if len(shape) != NHWC or shape[0] != 1:
            raise ModelError(
                f"{path}: expected raw YOLO grids (1, rows, columns, channels), found {role} "
                f"{shape}; export the model without its box decoding"
            )
    finest_first = sorted(shapes, key=lambda role: -shapes[role][1] * shapes[role][2])
    groups = _anchor_groups(path, choice.anchors, grids=len(shapes))
    grids = []
    for role, anchors in zip(finest_first, groups, strict=True):
        each, rest = divmod(shapes[role][3], len(anchors))
        if rest or each <= BOX_AND_OBJECTNESS:
            raise ConfigError(
                f"{path}: grid {shapes[role]} has {shapes[role][3]} channels, which "
                f"{len(anchors)} anchors with 5 numbers and the classes each do not give; "
                "check --anchors"
            )
        grids.append(YoloGrid(boxes=role, objectness=role, scores=role, anchors_px=anchors))
    return YoloHead(grids=tuple(grids))


def _anchor_groups(
    path: Path, text: str | None, *, grids: int
) -> list[tuple[tuple[float, float], ...]]:
    if text is None:
        raise ConfigError(
            f"{path}: the file does not say its anchors, so you must: --anchors 'W,H W,H / W,H …', "
            f"pixels, {grids} groups, finest grid first"
        )
    words = _text_of(text)
    groups = [_pairs(group) for group in words.split("/")]
    if len(groups) == 1 and len(groups[0]) % grids == 0:
        each = len(groups[0]) // grids
        groups = [groups[0][at : at + each] for at in range(0, len(groups[0]), each)]
    if len(groups) != grids or not all(groups):
        raise ConfigError(
            f"{path}: expected {grids} groups of anchors, one a grid, found {len(groups)} in "
            f"--anchors {text!r}"
        )
    return groups


def _text_of(text: str) -> str:
    """Return the anchors as text: `--anchors` may name a file of them."""
    if "," in text:
        return text
    try:
        return Path(text).read_text("utf-8")[:MAX_FILE_BYTES]
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(
            f"expected --anchors 'W,H W,H / …' or a text file of these, found {text!r}"
        ) from error


def _pairs(text: str) -> tuple[tuple[float, float], ...]:
    numbers = [float(word) for word in re.findall(r"\d+(?:\.\d+)?", text)]
    if len(numbers) % 2 or not all(number > 0 for number in numbers):
        raise ConfigError(
            f"expected pairs of positive numbers in --anchors, found {text.strip()!r}"
        )
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def ssd_roles(shapes: dict[str, Shape], path: Path) -> tuple[str, str]:
    """Return which outputs are an SSD's boxes `(1, A, 4)` and scores `(1, A, C)`.

    Raises:
        ModelError: They are not these two.
    """
    found = [name for name, shape in shapes.items() if len(shape) == ANCHOR_AXES]
    boxes = [name for name in found if shapes[name][2] == BOX_SIDES]
    scores = [name for name in found if shapes[name][2] != BOX_SIDES]
    if len(shapes) != 2 or len(boxes) != 1 or len(scores) != 1:  # noqa: PLR2004 - one of each
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ModelError(
            f"{path}: expected raw boxes (1, anchors, 4) and scores (1, anchors, classes), "
            f"found {listed}; export the model with its raw heads"
        )
    return boxes[0], scores[0]


def ssd_head(path: Path, choice: Choice, *, activation: str) -> SsdHead:
    """Return an SSD head whose decode stands in no file; background is the first column.

    Raises:
        ConfigError: The box scales are not said.
    """
    if choice.box_scales is None:
        raise ConfigError(
            f"{path}: the file does not say the divisors of its boxes, so you must: --box-scales "
            "10,10,5,5 (the variances 0.1, 0.1, 0.2, 0.2) or others"
        )
    return read(
        SsdHead, {"box_scales": choice.box_scales, "activation": activation, "background": True}
    )


def ssd_anchors(path: Path, choice: Choice, *, count: int) -> NDArray[np.float32]:
    """Return the anchors that the person gives: a `.npy`, or text of four numbers a line.

    Returns:
        `(A, 4)` float32, normalised centre-size (cy, cx, h, w).

    Raises:
        ConfigError: There are none, or another number of them.
    """
    if choice.anchors is None:
        raise ConfigError(
            f"{path}: the file does not say its anchors, so you must: --anchors FILE, a .npy or "
            f"text of {count} rows: centre y, centre x, height, width, each from 0 to 1"
        )
    source = Path(choice.anchors)
    try:
        if source.suffix == ".npy":
            anchors = np.load(source, allow_pickle=False)
        else:
            anchors = np.loadtxt(source, delimiter="," if "," in source.read_text() else None)
        anchors = np.asarray(anchors, np.float32)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{source}: expected anchors, which cannot be read: {error}") from error
    if anchors.shape != (count, BOX_SIDES) or not np.isfinite(anchors).all():
        raise ConfigError(f"{source}: expected anchors ({count}, 4), found {anchors.shape}")
    return anchors
