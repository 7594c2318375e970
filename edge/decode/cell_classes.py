"""Which classes of a cell reach the score threshold, once its objectness is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge.decode.activation import (
    Activation,
    every_byte,
    least_raw,
    logit,
    sigmoid_inplace,
    softmax,
)
from edge.model.quant import TIE_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge.model.spec import TensorSpec

    Found = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]
    # From raw objectness `(m,)` to the least raw score of a class beside it, `(m,)`.
    LeastClass = Callable[[NDArray[Any]], NDArray[Any]]


class SigmoidClasses:
    """Independent classes: each cell's objectness says what its least raw class score is.

    Args:
        objectness: Its tensor.
        scores: Tensor of the classes.
        first_class: Column of class 0 in a row of `scores`.
        score_threshold: Least product of the two sigmoids, compared in float32.

    Attributes:
        least_objectness: Least raw value beside which some class may reach the threshold; `None`
            if there is none.
    """

    def __init__(
        self,
        objectness: TensorSpec,
        scores: TensorSpec,
        *,
        first_class: int,
        score_threshold: float,
    ) -> None:
        self._first_class = first_class
        self._objectness = Activation(objectness, "sigmoid")
        self._scores = Activation(scores, "sigmoid")
        self.least_objectness = least_raw(objectness, logit(score_threshold))
        self._least_class: LeastClass = _least_by_formula(objectness, scores, score_threshold)
        if self._objectness.table is not None and self._scores.table is not None:
            products = np.multiply.outer(self._objectness.table, self._scores.table)
            reaches = products >= np.float32(score_threshold)  # (256, 256)
            self.least_objectness = _least(every_byte(objectness.dtype), reaches.any(axis=1))
            self._least_class = _least_by_table(scores.dtype, reaches)

    def find(self, objectness: NDArray[Any], raw: NDArray[Any]) -> Found:
        """Return row, class id and score of all that reaches the threshold, by row and class.

        Args:
            objectness: `(m,)` raw, none below `least_objectness`.
            raw: `(m, width)` raw rows of scores.
        """
        width = raw.shape[1]
        passes = raw >= self._least_class(objectness)[:, None]  # (m, width)
        passes[:, : self._first_class] = False
        flat = passes.reshape(-1).nonzero()[0]  # (n,)
        rows = flat // width
        class_ids = flat - rows * width
        class_ids -= self._first_class
        scores = self._objectness(objectness[rows])
        scores *= self._scores(raw.reshape(-1)[flat])
        return rows, class_ids, scores


class SoftmaxClasses:
    """One among the classes: the softmax of every cell that is asked for.

    Args:
        objectness: Its tensor.
        scores: Tensor of the classes.
        first_class: Column of class 0 in a row of `scores`.
        score_threshold: Least product of objectness and class, compared in float32.

    Attributes:
        least_objectness: Least raw value beside which some class may reach the threshold; `None`
            if there is none.
    """

    def __init__(
        self,
        objectness: TensorSpec,
        scores: TensorSpec,
        *,
        first_class: int,
        score_threshold: float,
    ) -> None:
        self._first_class = first_class
        self._threshold = np.float32(score_threshold)
        self._objectness = Activation(objectness, "sigmoid")
        self._quant = scores.quant
        self.least_objectness = least_raw(objectness, logit(score_threshold))

    def find(self, objectness: NDArray[Any], raw: NDArray[Any]) -> Found:
        """Return row, class id and score of all that reaches the threshold, by row and class.

        Args:
            objectness: `(m,)` raw, none below `least_objectness`.
            raw: `(m, width)` raw rows of scores.
        """
        scores = softmax(self._quant.dequantize(raw[:, self._first_class :]))  # (m, C)
        scores *= self._objectness(objectness)[:, None]
        rows, class_ids = (scores >= self._threshold).nonzero()
        return rows, class_ids, scores[rows, class_ids]


def _least(values: NDArray[Any], is_wanted: NDArray[np.bool_]) -> np.generic | None:
    wanted: np.generic | None = values[is_wanted].min() if is_wanted.any() else None
    return wanted


def _least_by_table(dtype: np.dtype[Any], reaches: NDArray[np.bool_]) -> LeastClass:
    """Return the answer for 8 bits, looked up.

    Args:
        dtype: Of the classes.
        reaches: `(256, 256)`: whether this byte of objectness and that of a class reach it.
    """
    greatest = np.iinfo(dtype).max  # stands where no class reaches it, and is not asked for
    least = np.where(reaches, every_byte(dtype), greatest).min(axis=1).astype(dtype)  # (256,)
    return lambda objectness: least.take(objectness.view(np.uint8))


def _least_by_formula(
    objectness: TensorSpec, scores: TensorSpec, score_threshold: float
) -> LeastClass:
    """Return the answer for any dtype, computed: ``logit(score_threshold / objectness)``."""

    def least_class(raw: NDArray[Any]) -> NDArray[Any]:
        share: NDArray[np.float64] = objectness.quant.dequantize(raw).astype(np.float64)
        sigmoid_inplace(share)
        with np.errstate(divide="ignore", invalid="ignore"):  # 0 / 0 too, where the threshold is 0
            share = score_threshold / share if score_threshold > 0 else np.zeros_like(share)
            real: NDArray[np.float64] = np.log(
                share / (1 - share)
            )  # of a share over 1 NaN, which nothing reaches
        if scores.dtype.kind == "f":
            return real.astype(np.float32)
        info = np.iinfo(scores.dtype)
        steps = np.ceil(real / scores.quant.scale + (scores.quant.zero_point - TIE_TOLERANCE))
        np.nan_to_num(steps, copy=False, nan=np.inf)
        np.clip(steps, info.min, info.max + 1, out=steps)
        return steps.astype(np.int32)

    return least_class
