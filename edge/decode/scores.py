"""Raw scores: what they are in [0, 1], and which of them reach a threshold.

A *cell* here is a row of an output: one anchor of an SSD or of one cell of a YOLO grid, one cell
without anchors. Scores of 8 bits are compared as they are, and activated only where they pass. A
score that is NaN never passes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edge.model.spec import ModelSpec, Tensors, TensorSpec

    # Cell, class id and score of what reaches the threshold, by cell and class.
    Found = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]

BYTE_VALUES = 256
WORD_BYTES, BYTE_BITS, BYTE_MASK = 8, 3, 7
POSITION_BITS, POSITION_MASK = 32, (1 << 32) - 1
SIGN_SHIFT, MAGNITUDE_MASK = 31, 0x7FFFFFFF
# Of a combined row: tx, ty, tw, th, objectness, classes.
COMBINED_OBJECTNESS, COMBINED_CLASSES = 4, 5
# Cells whose classes are looked at together: their 85 columns of bytes stay in the L2 cache, and
# however many cells pass, they take no more memory.
CHUNK_CELLS = 1024
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


class ClassScores:
    """Class scores alone, each for itself (SSD, YOLOv6, v8).

    Args:
        spec: The model.
        role: Of the output whose last axis is the classes.
        threshold: Least score.
        most: More than these of one frame, the best ones, are not wanted.
        activation: Of the scores, `sigmoid` or `none`.
        background: Column 0 is "no object".
    """

    def __init__(  # noqa: PLR0913
        self, spec: ModelSpec, role: str, threshold: float, *,
        most: int, activation: Function, background: bool,
    ) -> None:  # fmt: skip
        tensor = spec.outputs[role]
        self._role = role
        self._columns = tensor.shape[-1]
        self._most = most
        self._has_background = background
        self._least = least_raw(tensor, threshold, activation)
        self._activate = Activation(tensor, activation)
        self._passes = Flags(math.prod(tensor.shape))

    def select(self, tensors: Tensors) -> Iterator[Found]:
        """Yield what reaches the threshold."""
        if self._least is None:
            return
        raw = tensors[self._role].reshape(-1)  # (cells * columns,)
        np.greater_equal(raw, self._least, out=self._passes.each)
        if self._has_background:
            self._passes.each[:: self._columns] = False
        flat = self._passes.positions()  # (n,)
        raw = raw[flat]
        if len(flat) > self._most:
            best = best_rows(raw, keep=self._most)
            flat, raw = flat[best], raw[best]
        if len(flat):
            cells = flat // self._columns  # and not `divmod`, which is three times as slow
            class_ids = flat - cells * self._columns
            class_ids -= self._has_background
            yield cells, class_ids, self._activate(raw)


class ObjectnessScores:
    """Objectness, a sigmoid, times the class, which is never over 1; every class counts.

    The classes of a cell whose objectness alone fails the threshold are never looked at.

    Args:
        spec: The model.
        roles: Of objectness and classes; one and the same in a combined YOLO head.
        threshold: Least score.
        cells: Rows of each.
        activation: Of the classes.
    """

    def __init__(
        self,
        spec: ModelSpec,
        roles: tuple[str, str],
        threshold: float,
        *,
        cells: int,
        activation: Function,
    ) -> None:
        self._objectness_role, self._scores_role = roles
        objectness, scores = (spec.outputs[role] for role in roles)
        is_combined = roles[0] == roles[1]
        self._column = COMBINED_OBJECTNESS if is_combined else 0
        self._first_class = COMBINED_CLASSES if is_combined else 0
        self._threshold = np.float32(threshold)
        self._activate = Activation(objectness, "sigmoid")
        self._activate_classes = Activation(scores, activation)
        self._least = least_raw(objectness, threshold)
        # Of 8 bits, for each byte of objectness the least of a class that reaches it.
        self._least_class: NDArray[Any] | None = None
        if self._activate.table is not None and self._activate_classes.table is not None:
            products = np.multiply.outer(self._activate.table, self._activate_classes.table)
            reaches = products >= self._threshold  # (256, 256)
            able = every_byte(objectness.dtype)[reaches.any(axis=1)]
            self._least = able.min() if len(able) else None
            # The greatest stands where no class reaches it, and is not asked for.
            values, greatest = every_byte(scores.dtype), np.iinfo(scores.dtype).max
            least_class = np.where(reaches, values, greatest).min(axis=1)  # (256,)
            self._least_class = least_class.astype(scores.dtype)
        self._passes = np.zeros(cells, np.bool_)
        width = math.prod(scores.shape) // cells
        self._rows = np.empty((min(cells, CHUNK_CELLS), width), scores.dtype)

    def select(self, tensors: Tensors) -> Iterator[Found]:
        """Yield what reaches the threshold, of so many cells at a time."""
        if self._least is None:
            return
        shape = len(self._passes), -1
        objectness = tensors[self._objectness_role].reshape(shape)[:, self._column]
        np.greater_equal(objectness, self._least, out=self._passes)
        passing = self._passes.nonzero()[0]
        rows = tensors[self._scores_role].reshape(shape)
        for start in range(0, len(passing), CHUNK_CELLS):
            cells = passing[start : start + CHUNK_CELLS]
            # "clip" is the mode in which `take` writes straight into `out`.
            raw = rows.take(cells, axis=0, out=self._rows[: len(cells)], mode="clip")
            found, class_ids, scores = self._find(objectness[cells], raw)
            if len(found):
                yield cells[found], class_ids, scores

    def _find(self, objectness: NDArray[Any], raw: NDArray[Any]) -> Found:
        """Find the classes in `(m, width)` rows beside `(m,)` objectness, none below the least."""
        if self._least_class is None:
            scores = self._activate_classes(raw[:, self._first_class :])  # (m, C)
            scores *= self._activate(objectness)[:, None]
            rows, class_ids = (scores >= self._threshold).nonzero()
            return rows, class_ids, scores[rows, class_ids]
        passes = raw >= self._least_class.take(objectness.view(np.uint8))[:, None]  # (m, width)
        passes[:, : self._first_class] = False
        flat = passes.reshape(-1).nonzero()[0]  # (n,)
        rows = flat // raw.shape[1]
        class_ids = flat - rows * raw.shape[1]
        class_ids -= self._first_class
        found = self._activate(objectness[rows])
        found *= self._activate_classes(raw.reshape(-1)[flat])
        return rows, class_ids, found
