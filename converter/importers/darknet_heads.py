"""The `[yolo]` and `[region]` sections of a Darknet `.cfg`: masks, anchors and classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converter.importers.darknet_layers import BOX_VALUES, Head

if TYPE_CHECKING:
    from converter.importers.darknet_cfg import Section

MAX_ANCHORS = 100
MAX_CLASSES = 10_000
# Widths and heights, in pixels for yolo and in cells for region.
MIN_SIDE, MAX_SIDE = 1e-3, 1e5
MAX_SCALE = 4.0


# Of each kind: the keys that are read, and those that must be neutral.
HEAD_KEYS: dict[str, tuple[frozenset[str], dict[str, str]]] = {
    "yolo": (
        frozenset(["classes", "num", "mask", "anchors", "scale_x_y", "new_coords"]),
        {"map": "none"},
    ),
    "region": (
        frozenset(["classes", "num", "anchors", "softmax"]),
        {"coords": "4", "background": "0", "classfix": "0", "tree": "none", "map": "none"},
    ),
}


def read_yolo(section: Section, shape: tuple[int, int, int], *, size_wh: tuple[int, int]) -> Head:
    """Return the head of a `[yolo]` section that reads an image of this shape (H, W, C).

    `new_coords` stands for sigmoids in the convolution before, and squared sides.
    Source: `parse_yolo` and `get_yolo_box` of AlexeyAB's Darknet.
    """
    del size_wh  # Anchors are pixels already.
    total, classes = _counts(section)
    anchors = _anchors(section, total)
    mask = tuple(range(total))
    if "mask" in section.options:
        mask = section.integers("mask", low=0, high=total - 1)
    if len(set(mask)) < len(mask):
        raise section.fault("each anchor once in 'mask'", f"{list(mask)}")
    _check_channels(section, shape[2], len(mask) * (BOX_VALUES + classes))
    squared = section.integer("new_coords", 0, low=0, high=1)
    return Head(
        anchors_px=tuple(anchors[number] for number in mask),
        mask=mask,
        total=total,
        classes=classes,
        sides="square" if squared else "exp",
        scale_xy=section.number("scale_x_y", 1.0, low=1.0, high=MAX_SCALE),
    )


def read_region(section: Section, shape: tuple[int, int, int], *, size_wh: tuple[int, int]) -> Head:
    """Return the head of a `[region]` section; its anchors are in cells.

    Source: `parse_region` and `get_region_box` of Darknet.
    """
    total, classes = _counts(section)
    cell_wh = (size_wh[0] / shape[1], size_wh[1] / shape[0])
    anchors = tuple(
        (width * cell_wh[0], height * cell_wh[1]) for width, height in _anchors(section, total)
    )
    _check_channels(section, shape[2], total * (BOX_VALUES + classes))
    softmax = section.integer("softmax", 0, low=0, high=1)
    return Head(
        anchors_px=anchors,
        mask=tuple(range(total)),
        total=total,
        classes=classes,
        activation="softmax" if softmax else "sigmoid",
    )


def _counts(section: Section) -> tuple[int, int]:
    total = section.integer("num", 1, low=1, high=MAX_ANCHORS)
    return total, section.integer("classes", 20, low=1, high=MAX_CLASSES)


def _anchors(section: Section, total: int) -> list[tuple[float, float]]:
    sides = section.numbers("anchors", low=MIN_SIDE, high=MAX_SIDE)
    if len(sides) != 2 * total:
        raise section.fault(
            f"{2 * total} numbers in 'anchors' for 'num = {total}'", str(len(sides))
        )
    return list(zip(sides[::2], sides[1::2], strict=True))


def _check_channels(section: Section, found: int, expected: int) -> None:
    if found != expected:
        raise section.fault(
            f"'filters = {expected}' in the convolution before, as its anchors and classes say",
            f"{found}",
        )
