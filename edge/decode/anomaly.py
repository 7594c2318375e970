"""The head `anomaly`: an autoencoder's reconstruction, compared with what it was given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from msgspec import Meta

from edge.decode.checks import Misfit, expect_no_anchors, expect_raw, expect_roles, expect_shape
from edge.decode.scores import every_byte
from edge.model.description import HeadSchema
from edge.record import PositiveFloat
from edge.results.anomaly import Anomaly

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.frame import Placement, StageClock
    from edge.model.description import Thresholds
    from edge.model.spec import ModelSpec, Tensors, TensorSpec

ROLE, INPUT = "reconstruction", "input"
# A normalised pixel lies within some units of 0: a greater error says that the output is damaged.
MAX_ERROR = 1e6
Cells = Annotated[int, Meta(ge=1, le=64)]


class AnomalyHead(HeadSchema, frozen=True, kw_only=True, tag="anomaly"):
    """The input again, in the output role `reconstruction`, `(1, H, W, C)`.

    Attributes:
        threshold: Least error of an anomaly: the mean over the frame of ``(output - input)^2``,
            both as the net counts them, ``(pixel - mean) / std``.
        grid_wh: Columns and rows of the heat map.
    """

    threshold: PositiveFloat
    grid_wh: tuple[Cells, Cells] = (8, 8)


def check(spec: ModelSpec) -> None:
    """Compare the head with the output, which has the input's shape.

    Raises:
        Misfit: They disagree.
    """
    spec.description.head_as(AnomalyHead)
    expect_raw(spec)
    expect_no_anchors(spec.description)
    expect_roles(spec, {ROLE}, head="an anomaly head")
    wanted = spec.description.input.shape
    expect_shape(spec, ROLE, wanted, reason="the input and its reconstruction")
    if spec.channels_first:
        raise Misfit(f"input is {spec.input.shape}, but an anomaly head compares {wanted}")
    if spec.description.labels:
        raise Misfit(
            f"an anomaly head has no labels, the description has {len(spec.description.labels)}"
        )


def describe(spec: ModelSpec) -> list[tuple[str, str]]:
    """Return what `edge inspect` says of the head."""
    head = spec.description.head_as(AnomalyHead)
    columns, rows = head.grid_wh
    text = f"anomaly from a mean squared error of {head.threshold:g}, heat map {columns} x {rows}"
    return [("head", text)]


class AnomalyDecoder:
    """Compares the output of one model with its input, in buffers of its own.

    Of 300 x 300 pixels 1.9 ms on x86; nothing made here grows with the image.

    Args:
        spec: The model; its head is an `AnomalyHead`.
        thresholds: Of no meaning here.
    """

    def __init__(self, spec: ModelSpec, thresholds: Thresholds) -> None:  # noqa: ARG002 - the head's
        head = spec.description.head_as(AnomalyHead)
        _, height, width, channels = spec.input.shape
        self._threshold = head.threshold
        self._grid_wh = head.grid_wh
        self._readers = (_Real(spec.outputs[ROLE]), _Real(spec.input))
        self._output, self._input = np.empty((2, height, width, channels), np.float32)
        self._bands = np.empty((head.grid_wh[1], width, channels), np.float32)
        self._columns = np.empty((head.grid_wh[1], head.grid_wh[0], channels), np.float32)

    def decode(self, tensors: Tensors, placement: Placement, clock: StageClock) -> Anomaly:
        """Return how far the frame is from its reconstruction; letterbox bars do not count."""
        of_output, of_input = self._readers
        of_output(tensors[ROLE][0], out=self._output)
        of_input(tensors[INPUT][0], out=self._input)
        with np.errstate(invalid="ignore", over="ignore"):  # a damaged float output
            squares = np.subtract(self._output, self._input, out=self._output)
            np.multiply(squares, squares, out=squares)
            seen = self._mean(squares, placement)
        clock.lap("decode")
        return seen

    def _mean(self, squares: NDArray[np.float32], placement: Placement) -> Anomaly:
        (x, y), (width, height) = placement.offset_xy, placement.region_wh
        rows, columns = _edges(height, self._grid_wh[1]), _edges(width, self._grid_wh[0])
        region = squares[y : y + height, x : x + width]  # (h', w', C)
        bands = self._bands[: len(rows) - 1, :width]  # (rows, w', C)
        np.add.reduceat(region, rows[:-1], axis=0, out=bands)
        cells = self._columns[: len(rows) - 1, : len(columns) - 1]  # (rows, columns, C)
        np.add.reduceat(bands, columns[:-1], axis=1, out=cells)
        sums = cells.sum(axis=2, dtype=np.float64)  # (rows, columns)
        pixels = np.multiply.outer(np.diff(rows), np.diff(columns)) * squares.shape[2]
        heat = np.nan_to_num(sums / pixels, nan=MAX_ERROR, posinf=MAX_ERROR).clip(max=MAX_ERROR)
        error = float((heat * pixels).sum() / pixels.sum())
        return Anomaly(error, self._threshold, heat.astype(np.float32))


class _Real:
    """Turns one raw tensor into real values in a buffer; of 8 bits by a table."""

    def __init__(self, tensor: TensorSpec) -> None:
        self._quant = tensor.quant
        self._table: NDArray[np.float32] | None = None
        if tensor.dtype.itemsize == 1:
            self._table = tensor.quant.dequantize(every_byte(tensor.dtype))

    def __call__(self, raw: NDArray[Any], *, out: NDArray[np.float32]) -> None:
        if self._table is not None:
            # "clip" is the mode in which `take` writes straight into `out`.
            np.take(self._table, raw.view(np.uint8), out=out, mode="clip")
            return
        with np.errstate(invalid="ignore"):
            np.copyto(out, raw, casting="unsafe")
            np.subtract(out, np.float32(self._quant.zero_point), out=out)
            np.multiply(out, np.float32(self._quant.scale), out=out)


def _edges(pixels: int, cells: int) -> NDArray[np.int64]:
    """Return where the cells of an axis begin, and its end; at least one pixel each."""
    cells = min(cells, pixels)
    return np.arange(cells + 1) * pixels // cells
