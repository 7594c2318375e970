"""Raw scores: what they are in [0, 1], and what raw value reaches a threshold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.spec import TensorSpec

BYTE_VALUES = 256
WORD_BYTES, BYTE_BITS, BYTE_MASK = 8, 3, 7
FOLDS = 16
MANY = 32
POSITION_BITS, POSITION_MASK = 32, (1 << 32) - 1
SIGN_SHIFT, MAGNITUDE_MASK = 31, 0x7FFFFFFF
Function = Literal["sigmoid", "softmax", "none"]


class Activation:
    """Turns the raw values of one tensor into scores; of 8 bits, by a table.

    Args:
        tensor: Whose values.
        function: `sigmoid`; `softmax` over the last axis; `none` where the graph activated them.

    Attributes:
        table: `(256,)`, the score of each byte; `None` of other dtypes, and of a softmax.
    """

    def __init__(self, tensor: TensorSpec, function: Function) -> None:
        self._quant = tensor.quant
        self._function = function
        self.table: NDArray[np.float32] | None = None
        if tensor.dtype.itemsize == 1 and function != "softmax":
            self.table = self._compute(every_byte(tensor.dtype))

    def __call__(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Return the scores of `raw`, a new float32 array of the same shape."""
        return self._compute(raw) if self.table is None else self.table.take(raw.view(np.uint8))

    def _compute(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        real = self._quant.dequantize(raw)
        if self._function == "softmax":
            return softmax(real)
        if self._function == "sigmoid":
            sigmoid_inplace(real)
        else:
            np.minimum(real, 1, out=real)  # a quantised 1 may come back as the next float
            real[real < 0] = np.nan  # no score, and never passes: two of them would multiply to one
        return real


def every_byte(dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the `(256,)` values of an 8-bit dtype, in the order of their bits as a number."""
    return np.arange(BYTE_VALUES, dtype=np.uint8).view(dtype)


def sigmoid_inplace(values: NDArray[Any]) -> None:
    """Overwrite floats with 1 / (1 + e^-value)."""
    np.negative(values, out=values)
    with np.errstate(over="ignore"):  # exp(89) is infinite in float32, and its score rightly 0
        np.exp(values, out=values)
    values += 1
    np.reciprocal(values, out=values)


def softmax(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the softmax over the last axis, a new array; NaN where infinity or NaN is among it."""
    with np.errstate(invalid="ignore"):
        powers: NDArray[np.float32] = values - values.max(axis=-1, keepdims=True)
        np.exp(powers, out=powers)
        powers /= powers.sum(axis=-1, keepdims=True)
    return powers


def logit(probability: float) -> float:
    """Return the `x` with ``sigmoid(x) == probability``; infinite at 0 and 1."""
    if probability <= 0:
        return -math.inf
    return math.inf if probability >= 1 else math.log(probability / (1 - probability))


def least_raw(
    tensor: TensorSpec, score: float, function: Function = "sigmoid"
) -> np.generic | None:
    """Return the least raw value whose score reaches this one, in the tensor's dtype.

    The real value is compared in float32; `None` if nothing reaches it.
    """
    real = logit(score) if function == "sigmoid" else score
    threshold = tensor.quant.threshold(real, tensor.dtype)
    if tensor.dtype.kind != "f" and threshold > np.iinfo(tensor.dtype).max:
        return None
    value: np.generic = tensor.dtype.type(threshold)
    return value


class Flags:
    """Flags, few of very many set, whose positions are found eight at a time; buffers made once.

    Of 512,000 flags with 20 set, x86, NumPy 2.4: 17 µs, where `nonzero` of them all takes 46.

    Args:
        count: Number of flags.

    Attributes:
        each: `(count,)`, to be written.
    """

    def __init__(self, count: int) -> None:
        words = -(-count // WORD_BYTES)
        flags = np.zeros(words * WORD_BYTES, np.bool_)  # those past the count are never set
        self.each = flags[:count]
        self._words = flags.view(np.uint64)
        self._is_word_set = np.zeros(words, np.bool_)

    def positions(self) -> NDArray[np.int64]:
        """Return where flags are set, `(n,)`, rising; a new array."""
        words = np.not_equal(self._words, 0, out=self._is_word_set).nonzero()[0]
        bytes_set = self._words.take(words).view(np.bool_).nonzero()[0]  # of those words
        words <<= BYTE_BITS
        positions = words.take(bytes_set >> BYTE_BITS)
        bytes_set &= BYTE_MASK
        positions += bytes_set
        return positions


class Folds:
    """Integers, few of very many reaching a threshold, found by the greatest of so many at a time.

    Of 672,000 with 100 that do: 36 µs, where a flag for each takes 54 (x86, NumPy 2.4). Not of
    floats, whose NaN would hide the others of its fold.

    Args:
        count: Number of values.
        dtype: Of an integer.
    """

    def __init__(self, count: int, dtype: np.dtype[Any]) -> None:
        self._width = width = count // FOLDS
        self._greatest = np.empty(width, dtype)
        self._reaches = np.empty(width, np.bool_)

    def positions(self, values: NDArray[Any], least: np.generic) -> NDArray[np.int64]:
        """Return where values are not less, `(n,)`, rising; a new array.

        Args:
            values: `(count,)`, contiguous.
            least: Of their dtype.
        """
        body = FOLDS * self._width
        folds = values[:body].reshape(FOLDS, -1)  # (FOLDS, width)
        np.maximum.reduce(folds, axis=0, out=self._greatest)
        np.greater_equal(self._greatest, least, out=self._reaches)
        columns = self._reaches.nonzero()[0]
        if len(columns) * MANY > self._width:  # then sorting them takes longer than a flag for each
            return (values >= least).nonzero()[0]
        fold, column = (folds.take(columns, axis=1) >= least).nonzero()
        fold *= self._width
        fold += columns.take(column)
        fold.sort()
        if body < len(values):
            rest = (values[body:] >= least).nonzero()[0]
            fold = np.concatenate([fold, rest + body])
        return fold


def best_rows(values: NDArray[Any], *, keep: int) -> NDArray[np.int64]:
    """Return the rows of the `keep` greatest of more values, rising; of equals the first.

    One integer key holds value and row, so that ties fall the same way each time.

    Args:
        values: `(n,)` with ``n > keep``, integers of up to 16 bits or floats, none NaN.
        keep: >= 1.
    """
    keys = _sortable(values).astype(np.int64)
    np.left_shift(keys, POSITION_BITS, out=keys)
    np.subtract(np.arange(len(values)), keys, out=keys)
    keys.partition(keep - 1)
    best = keys[:keep]
    np.bitwise_and(best, POSITION_MASK, out=best)
    best.sort()
    return best


def _sortable(values: NDArray[Any]) -> NDArray[Any]:
    """Return integers that order as the values do: of a float its bits, those below 0 reversed."""
    if values.dtype.kind != "f":
        return values
    bits = (values.astype(np.float32) + np.float32(0)).view(np.int32)  # -0.0 becomes 0.0
    return np.asarray(bits ^ ((bits >> SIGN_SHIFT) & MAGNITUDE_MASK))
