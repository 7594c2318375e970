"""What a model says of each box beside its class: a row of raw values, from the box's own cell."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from edge.decode.box_heads import BOX_HEADS
from edge.decode.checks import Misfit, expect_raw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.decode.boxes import BoxDecoder
    from edge.frame import Placement, StageClock
    from edge.model.description import HeadSchema, Thresholds
    from edge.model.spec import ModelSpec, Tensors
    from edge.results.detections import Detections

JOINT_AXES = 3  # (1, channels, cells) or (1, cells, channels)
ROWS_LAST = 2  # the axis of the channels of the latter


class BoxRows:
    """Decodes boxes as their own head says, and reads the row of values that belongs to each.

    Args:
        spec: The model.
        boxes: What its boxes are.
        roles: Outputs whose last axis has the values, one for each grid of the boxes, cell by cell
            in their order; none where the values are the last channels of the boxes' only output.
        width: Values of a box.
        thresholds: Of the boxes.

    Attributes:
        bounds: The first cell of each grid of the boxes, and behind them the number of all cells.

    Raises:
        Misfit: The boxes do not fit their head, or the values not the boxes.
    """

    def __init__(
        self,
        spec: ModelSpec,
        boxes: HeadSchema,
        roles: Sequence[str],
        *,
        width: int,
        thresholds: Thresholds,
    ) -> None:
        inner = without(spec, roles, boxes)
        self._width = width
        self._joint = None if roles else _Joint(inner, width)
        if self._joint is not None:
            inner, roles = self._joint.boxes, [self._joint.role]
        self._decoder = box_decoder(inner, thresholds)
        self._outputs = [(role, spec.outputs[role].quant) for role in roles]
        self.bounds = self._decoder.bounds
        if self._joint is None:
            self._compare(spec, roles)

    def _compare(self, spec: ModelSpec, roles: Sequence[str]) -> None:
        cells = np.diff(self.bounds).tolist()
        if len(roles) != len(cells):
            raise Misfit(
                f"the boxes stand in {len(cells)} grids, the head names {len(roles)} outputs "
                f"beside them: {', '.join(roles)}"
            )
        expect_raw(only(spec, roles))
        for role, count in zip(roles, cells, strict=True):
            shape = spec.outputs[role].shape
            if math.prod(shape) != count * self._width or shape[-1] % self._width:
                raise Misfit(
                    f"output {role} is {shape}, but its {count} boxes need {self._width} values "
                    "each, side by side in the last axis"
                )

    def decode(
        self, tensors: Tensors, placement: Placement, clock: StageClock
    ) -> tuple[Detections, NDArray[np.float32]]:
        """Return what one frame shows and its rows `(N, width)`, dequantised.

        The detections are borrowed until the next call, the rows are new.
        """
        if self._joint is None:
            tables = [tensors[role].reshape(-1, self._width) for role, _ in self._outputs]
        else:
            boxes, values = self._joint.split(tensors[self._joint.role])
            tensors, tables = {self._joint.role: boxes}, [values]
        seen = self._decoder.decode(tensors, placement, clock)
        return seen, self._rows(tables, self.cells(len(seen)))

    def cells(self, count: int) -> NDArray[np.int64]:
        """Return in which cell each of the detections of the last frame stands, `(count,)`."""
        return self._decoder.candidates.cells[:count]

    def _rows(self, tables: list[NDArray[Any]], cells: NDArray[np.int64]) -> NDArray[np.float32]:
        rows = np.empty((len(cells), self._width), np.float32)
        for number, (table, (_, quant)) in enumerate(zip(tables, self._outputs, strict=True)):
            first, end = self.bounds[number], self.bounds[number + 1]
            own = ((cells >= first) & (cells < end)).nonzero()[0]
            # Not `take`, which copies a table whole that is a view of columns.
            rows[own] = quant.dequantize(table[cells[own] - first])
        return rows


def box_decoder(spec: ModelSpec, thresholds: Thresholds) -> BoxDecoder:
    """Return what decodes the boxes of a model whose head is one of boxes.

    Raises:
        Misfit: They do not fit their head.
    """
    row = BOX_HEADS[spec.description.head.kind]
    row.check(spec)
    return cast("BoxDecoder", row.decoder(spec, thresholds))


def describe_boxes(
    spec: ModelSpec, boxes: HeadSchema, others: Sequence[str]
) -> list[tuple[str, str]]:
    """Return what `edge inspect` says of the boxes beside which the other outputs stand."""
    inner = without(spec, others, boxes)
    return [(f"its {word}", text) for word, text in BOX_HEADS[boxes.kind].describe(inner)]


def only(spec: ModelSpec, roles: Sequence[str]) -> ModelSpec:
    """Return the contract with these outputs alone."""
    return replace(spec, outputs={role: spec.outputs[role] for role in roles})


def without(spec: ModelSpec, roles: Sequence[str], boxes: HeadSchema) -> ModelSpec:
    """Return the contract of the boxes of a model: all outputs but these.

    Raises:
        Misfit: One of these is no output.
    """
    missing = [role for role in roles if role not in spec.outputs]
    if missing:
        raise Misfit(
            f"the head names the output role {missing[0]}, the description has "
            f"{', '.join(sorted(spec.outputs)) or 'none'}"
        )
    outputs = {role: each for role, each in spec.outputs.items() if role not in roles}
    return replace(spec, description=replace(spec.description, head=boxes), outputs=outputs)


class _Joint:
    """The only output of boxes that have values behind them, apart again.

    Attributes:
        boxes: The contract of the boxes without the values.
        role: Of the output.
    """

    def __init__(self, spec: ModelSpec, width: int) -> None:
        self.boxes, self.role, self._axis = _split(spec, width)
        self._count = self.boxes.outputs[self.role].shape[self._axis]

    def split(self, tensor: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return views: the output of the boxes alone, `(cells, width)` of the values behind."""
        if self._axis == ROWS_LAST:
            return tensor[..., : self._count], tensor[0, :, self._count :]
        return tensor[:, : self._count], tensor[0, self._count :].T


def _split(inner: ModelSpec, width: int) -> tuple[ModelSpec, str, int]:
    """Leave the last channels of the only output to others; return its role and their axis.

    It is the axis that fits the boxes' head without them; where both do, the shorter.
    """
    if len(inner.outputs) != 1:
        raise Misfit(
            "values without an output of their own are the last channels of the boxes' only "
            f"output, the description names {', '.join(sorted(inner.outputs)) or 'none'}"
        )
    ((role, output),) = inner.outputs.items()
    shape = output.shape
    if len(shape) != JOINT_AXES or min(shape[1:]) <= width:
        raise Misfit(
            f"output {role} is {shape}, but boxes with {width} values behind them are "
            "(1, channels, boxes) or (1, boxes, channels)"
        )
    faults = []
    for axis in sorted((1, ROWS_LAST), key=lambda axis: shape[axis]):
        sides = list(shape)
        sides[axis] -= width
        split = replace(inner, outputs={role: replace(output, shape=tuple(sides))})
        try:
            BOX_HEADS[inner.description.head.kind].check(split)
        except Misfit as error:
            faults.append(error)
            continue
        return split, role, axis
    raise Misfit(f"{faults[0]}, without the last {width} channels") from faults[0]
