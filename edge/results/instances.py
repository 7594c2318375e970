"""What a model of instance masks saw on one frame: detections, and the shape of each."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edge.results.class_map import ClassMap
from edge.results.detections import Detection, Detections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """Which cells of a grid belong to an object.

    Attributes:
        cells: `(h, w)` bool, h and w >= 1; perhaps a view into a decoder's buffer.
        box: x1, y1, x2, y2 of the grid in source-frame pixels, about the object's box.
    """

    cells: NDArray[np.bool_]
    box: tuple[float, float, float, float]

    @property
    def area_px(self) -> float:
        """Pixels of the source frame that the object covers."""
        x1, y1, x2, y2 = self.box
        return (x2 - x1) * (y2 - y1) * int(self.cells.sum()) / self.cells.size

    def class_map(self) -> ClassMap:
        """Return the cells as a map of two classes, 1 being the object; a view."""
        x1, y1, x2, y2 = self.box
        return ClassMap(self.cells.view(np.uint8), (round(x2 - x1), round(y2 - y1)))

    def copy(self) -> Mask:
        """Return the same in an array of its own."""
        return Mask(self.cells.copy(), self.box)

    def scaled(self, ratio: float) -> Mask:
        """Return it for the same frame at another size; the cells are shared."""
        x1, y1, x2, y2 = self.box
        return Mask(self.cells, (x1 * ratio, y1 * ratio, x2 * ratio, y2 * ratio))


@dataclass(frozen=True, slots=True, eq=False)
class Instance(Detection):
    """One instance.

    Attributes:
        mask: Its shape.
    """

    mask: Mask = field(kw_only=True)


@dataclass(frozen=True, slots=True, eq=False)
class Instances(Detections):
    """`N` detections by falling score, each with a mask.

    Attributes:
        masks: N, in their order.

    Raises:
        ValueError: The shapes do not match each other.
    """

    masks: tuple[Mask, ...] = field(kw_only=True)

    def __post_init__(self) -> None:
        Detections.__post_init__(self)
        if len(self.masks) != len(self.scores):
            raise ValueError(
                f"masks must be {len(self.scores)} to match scores, got {len(self.masks)}"
            )

    def __getitem__(self, rows: slice | NDArray[np.bool_] | NDArray[np.integer]) -> Instances:
        """Return some of them: those of a mask `(N,)`, a slice, or row numbers `(M,)`."""
        masks = tuple(self.masks[row] for row in np.arange(len(self))[rows].tolist())
        return Instances.of(Detections.__getitem__(self, rows), masks)

    def __iter__(self) -> Iterator[Instance]:
        """Give each in turn; for people and for few."""
        for found, mask in zip(Detections.__iter__(self), self.masks, strict=True):
            yield Instance(**asdict(found), mask=mask)

    @classmethod
    def of(cls, seen: Detections, masks: tuple[Mask, ...]) -> Instances:
        """Return detections with their masks."""
        return cls(**seen.columns(), masks=masks)

    @classmethod
    def none(cls) -> Instances:
        """Return zero instances."""
        return cls.of(Detections.none(), ())

    def copy(self) -> Instances:
        """Return the same instances in arrays of their own."""
        return Instances.of(Detections.copy(self), tuple(mask.copy() for mask in self.masks))

    def scaled(self, ratio: float) -> Instances:
        """Return them for the same frame at another size."""
        masks = tuple(mask.scaled(ratio) for mask in self.masks)
        return Instances.of(Detections.scaled(self, ratio), masks)
