"""Where a detector's boxes, objectness and scores stand in its raw heads, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.decode.boxes import BOX_SIDES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray

    from converter.importers.heads.raw import Tail

BOX_AND_OBJECTNESS = 5
MAX_ANCHORS = 16  # of a grid
RANK_LOW, RANK_HIGH = 0.2, 4.2  # where neighbouring sigmoids of 25,200 rows differ in float32
SURE = 30.0  # a logit whose sigmoid is 1 in float32
PARTS = ("boxes", "objectness", "scores")


@dataclass(frozen=True, slots=True)
class Part:
    """What some channels of a raw head say.

    Attributes:
        tensor: The raw head.
        channels: `(B, n)`, of each of its B anchors.
    """

    tensor: str
    channels: NDArray[np.intp]


def parts_of(
    tensor: str, channels: int, *, anchors: int, more: Mapping[str, int] | None = None
) -> dict[str, Part]:
    """Read `(1, H, W, B * (5 + C))`, anchor by anchor: tx, ty, tw, th, objectness, classes.

    As Darknet has it, and after it YOLOv3 to v5 and v7 and their ports to Keras; behind the classes
    may stand more, by its name and how many numbers it has.
    """
    columns = np.arange(channels).reshape(anchors, -1)
    behind = -np.cumsum(list((more or {}).values())[::-1])[::-1]
    cuts = np.split(columns, [BOX_SIDES, BOX_AND_OBJECTNESS, *behind], axis=1)
    return {
        kind: Part(tensor, cut) for kind, cut in zip((*PARTS, *(more or {})), cuts, strict=True)
    }


@dataclass(frozen=True, slots=True)
class Fields:
    """One reading of raw heads. Its R rows are grid, cell by cell, anchor by anchor.

    Attributes:
        parts: A row a grid, the finest first: boxes, objectness (or none), scores, perhaps more.
        sizes_hw: Of the grids, cells.
        input_wh: Pixels.
        anchors: Of a cell.
    """

    parts: tuple[dict[str, Part], ...]
    sizes_hw: tuple[tuple[int, int], ...]
    input_wh: tuple[int, int]
    anchors: int = 1

    @property
    def counts(self) -> list[int]:
        """Rows of each grid."""
        return [height * width * self.anchors for height, width in self.sizes_hw]

    @property
    def slices(self) -> list[slice]:
        """The rows of each grid."""
        ends = np.cumsum(self.counts)
        return [
            slice(int(end) - count, int(end)) for end, count in zip(ends, self.counts, strict=True)
        ]

    @property
    def classes(self) -> int:
        """How many there are."""
        return int(self.parts[0]["scores"].channels.shape[1])

    @property
    def bins(self) -> int:
        """Of each side of a box."""
        return int(self.parts[0]["boxes"].channels.shape[1] // BOX_SIDES)

    def geometry(self) -> NDArray[np.float64]:
        """Return each row's cell and stride, `(R, 4)`: column, row, pixels of x and of y."""
        rows = []
        for height, width in self.sizes_hw:
            y, x = np.mgrid[:height, :width].reshape(2, -1).repeat(self.anchors, axis=1)
            stride = np.array(self.input_wh) / (width, height)
            rows.append(np.column_stack([x, y, np.broadcast_to(stride, (len(x), 2))]))
        return np.concatenate(rows)

    def spread(self, values: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """Return the raw heads that hold these values, `(R, n)` each part."""
        made: dict[str, NDArray[np.float32]] = {}
        start = 0
        for parts, (height, width), count in zip(
            self.parts, self.sizes_hw, self.counts, strict=True
        ):
            channels: dict[str, int] = {}
            for part in parts.values():
                channels[part.tensor] = channels.get(part.tensor, 0) + part.channels.size
            for name, size in channels.items():
                made[name] = np.zeros((1, height, width, size), np.float32)
            for kind, part in parts.items():
                rows = values[kind][start : start + count].reshape(height, width, -1)
                made[part.tensor][0, :, :, part.channels.ravel()] = np.moveaxis(rows, -1, 0)
            start += count
        return made

    def questions(self) -> list[dict[str, NDArray[np.float32]]]:
        """Return what a tail is asked: each row's rank as its first score, the same again, noise.

        The rank tells which row is which; boxes of zeros tell the anchors; noise tells the rest.
        """
        rows = sum(self.counts)
        scores = np.zeros((rows, self.classes), np.float32)
        scores[:, 0] = np.linspace(RANK_LOW, RANK_HIGH, rows)
        flat = {
            **{kind: np.zeros_like(values) for kind, values in self.noise().items()},
            "objectness": np.full((rows, 1), SURE, np.float32),
            "scores": scores,
        }
        return [self.spread(flat), self.spread(self.noise())]

    def noise(self) -> dict[str, NDArray[np.float32]]:
        """Return the noise that is asked for, by part."""
        random = np.random.default_rng(0)
        rows = sum(self.counts)
        return {
            kind: random.normal(size=(rows, part.channels.shape[1])).astype(np.float32)
            for kind, part in self.parts[0].items()
        }


def table(
    fields: Fields, tail: Tail, answer: Mapping[str, NDArray[Any]]
) -> tuple[NDArray[np.float64], list[str]]:
    """Return a tail's answer as `(R, columns)`, its rows as they come, and each column's tensor.

    An end that holds no row for each of the fields' is left out.
    """
    found: list[NDArray[Any]] = []
    names: list[str] = []
    for name, value in answer.items():
        if sum(fields.counts) in value.shape:
            found.append(_by_row(value, sum(fields.counts)))
            names += [name] * found[-1].shape[1]
    if not found:
        by_grid = [_of_grid(fields, tail, answer, grid=grid) for grid in range(len(fields.parts))]
        for ends in zip(*by_grid, strict=False):
            if len({rows.shape[1] for _, rows in ends}) == 1:
                found.append(np.concatenate([rows for _, rows in ends]))
                names += [ends[0][0]] * found[-1].shape[1]
    if not found:
        return np.zeros((sum(fields.counts), 0)), []
    return np.concatenate(found, axis=1).astype(np.float64), names


def _of_grid(
    fields: Fields, tail: Tail, answer: Mapping[str, NDArray[Any]], *, grid: int
) -> list[tuple[str, NDArray[Any]]]:
    """Return the ends that hang on one grid alone, a row a box."""
    own = {part.tensor for part in fields.parts[grid].values()}
    count, (height, width) = fields.counts[grid], fields.sizes_hw[grid]
    found = []
    for name, value in answer.items():
        if not tail.ends[name] <= own or value.size % count:
            continue
        if count in value.shape:
            found.append((name, _by_row(value, count)))
        elif value.shape[1:3] == (height, width):
            found.append((name, value.reshape(count, -1)))
        elif value.shape[2:4] == (height, width):
            found.append((name, np.moveaxis(value[0], 0, 2).reshape(count, -1)))
    return found


def _by_row(value: NDArray[Any], count: int) -> NDArray[Any]:
    """Return an end that has an axis of so many rows as `(rows, columns)`."""
    return np.moveaxis(value, value.shape.index(count), 0).reshape(count, -1)
