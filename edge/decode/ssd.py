"""Raw SSD heads to candidate boxes: thresholded as they are, dequantised only where they pass.

Source: Liu et al. 2016, "SSD: Single Shot MultiBox Detector", eq. 2; the factors that undo its
variances are the manifest's `box_scales`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.heads import SsdHead

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model_spec import ModelSpec

# In anchor sides, and as the logarithm of a side's growth. Only a damaged float head comes near:
# real ones stay below 5, and e^32 still leaves the area of a box finite in float32.
MAX_OFFSET = 32.0
INDEX_BITS = 32
INDEX_MASK = (1 << INDEX_BITS) - 1
SIGN_SHIFT, MAGNITUDE_MASK = 31, 0x7FFFFFFF


class SsdDecoder:
    """Decodes the heads of one model into buffers of its own.

    Args:
        spec: The model; its outputs are `boxes` `(1, A, 4)` and `scores` `(1, A, C)`.
        score_threshold: Least score of a candidate, in [0, 1], compared in float32.
        max_candidates: Most that `decode` gives, >= 1; the best ones stay.

    Attributes:
        boxes: `(max_candidates, 4)` float32, xyxy, input pixels, not clipped, finite.
        scores: `(max_candidates,)` float32 in [0, 1].
        class_ids: `(max_candidates,)` int32, indices into the labels.
    """

    def __init__(
        self, spec: ModelSpec, *, score_threshold: float, max_candidates: int = 256
    ) -> None:
        head = spec.manifest.head
        if not isinstance(head, SsdHead):
            raise TypeError(f"expected an SSD head, got {head.kind}")
        anchors, columns = spec.outputs["scores"].shape[1:]
        self._head = head
        self._max_candidates = max_candidates
        self._columns = columns
        self._boxes_quant = spec.outputs["boxes"].quant
        self._scores_quant = spec.outputs["scores"].quant
        self._may_be_nan = spec.outputs["boxes"].dtype.kind == "f"
        is_sigmoid = head.activation == "sigmoid"
        self._threshold = _threshold_of(
            spec, real=logit(score_threshold) if is_sigmoid else score_threshold
        )
        self._passes = np.zeros(anchors * columns, np.bool_)
        self._keys = np.empty(anchors * columns, np.int64)
        self._anchors_px = _anchors_px(spec)
        self._box_scales = np.array(head.box_scales)
        self.boxes = np.zeros((max_candidates, 4), np.float32)
        self.scores = np.zeros(max_candidates, np.float32)
        self.class_ids = np.zeros(max_candidates, np.int32)

    def decode(self, heads: dict[str, NDArray[Any]]) -> int:
        """Decode the candidates of one frame into rows ``[:n]`` of the buffers.

        They stand in the order of the heads: by anchor, then by class. Of equal scores beyond the
        capacity the earlier stay. What is NaN never passes. Nothing made here grows with anchors
        times classes, only with the candidates.

        Args:
            heads: Output role to raw tensor, of the spec's shapes and dtypes; read only.

        Returns:
            `n`, the number of candidates.
        """
        if self._threshold is None:
            return 0
        raw_scores = heads["scores"].reshape(-1)  # (A * C,)
        np.greater_equal(raw_scores, self._threshold, out=self._passes)
        if self._head.background:
            self._passes[:: self._columns] = False
        flat = self._passes.nonzero()[0]  # (n,)
        if len(flat) > self._max_candidates:
            flat = self._best(raw_scores, flat)
        count = len(flat)
        if count == 0:
            return 0
        rows, columns = np.divmod(flat, self._columns)
        np.subtract(columns, int(self._head.background), out=self.class_ids[:count])
        self._fill_scores(raw_scores[flat])
        self._fill_boxes(heads["boxes"][0].take(rows, axis=0), rows)
        return self._drop_nan(count) if self._may_be_nan else count

    def _best(self, raw_scores: NDArray[Any], flat: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the indices of the `max_candidates` greatest scores, ascending.

        One integer key holds the raw score and the index, so that ties fall the same way each time.
        """
        keys = self._keys[: len(flat)]
        np.copyto(keys, _sortable(raw_scores[flat]))
        np.left_shift(keys, INDEX_BITS, out=keys)
        np.subtract(flat, keys, out=keys)
        keys.partition(self._max_candidates - 1)
        best = keys[: self._max_candidates]
        np.bitwise_and(best, INDEX_MASK, out=best)
        best.sort()
        return best

    def _fill_scores(self, raw: NDArray[Any]) -> None:
        scores = self.scores[: len(raw)]
        real = self._scores_quant.dequantize(raw)
        if self._head.activation == "none":
            np.minimum(real, 1, out=scores)  # a quantised 1 may come back as the next float
            return
        with np.errstate(over="ignore"):  # exp(89) is infinite in float32, and its score rightly 0
            np.exp(np.negative(real, out=real), out=real)
        real += 1
        np.reciprocal(real, out=scores)

    def _fill_boxes(self, raw: NDArray[Any], rows: NDArray[np.int64]) -> None:
        """Decode `(n, 4)` raw offsets (ty, tx, th, tw) of the anchors in `rows`.

        In float64, as TensorFlow Lite's own decoder computes; for so few it costs nothing.
        """
        offsets = self._boxes_quant.dequantize(raw) / self._box_scales  # (n, 4)
        np.clip(offsets, -MAX_OFFSET, MAX_OFFSET, out=offsets)
        anchors = self._anchors_px.take(rows, axis=0)
        sides_yx = anchors[:, 2:]  # (n, 2)
        centers_yx = offsets[:, :2] * sides_yx + anchors[:, :2]
        halves_yx = np.exp(offsets[:, 2:]) * (sides_yx * 0.5)
        boxes = self.boxes[: len(raw)]
        np.subtract(centers_yx, halves_yx, out=boxes[:, 1::-1])  # columns 1 and 0
        np.add(centers_yx, halves_yx, out=boxes[:, :1:-1])  # columns 3 and 2

    def _drop_nan(self, count: int) -> int:
        is_nan = np.isnan(self.boxes[:count]).any(axis=1)
        if not is_nan.any():
            return count
        rows = np.flatnonzero(~is_nan)
        for buffer in (self.boxes, self.scores, self.class_ids):
            buffer[: len(rows)] = buffer[rows]
        return len(rows)


def logit(probability: float) -> float:
    """Return the `x` with ``sigmoid(x) == probability``; infinite at 0 and 1."""
    if probability <= 0:
        return -math.inf
    return math.inf if probability >= 1 else math.log(probability / (1 - probability))


def _threshold_of(spec: ModelSpec, *, real: float) -> np.generic | None:
    """Return the least raw score that passes, in the head's dtype; `None` if none does."""
    scores = spec.outputs["scores"]
    threshold = scores.quant.threshold(real, scores.dtype)
    if scores.dtype.kind != "f" and threshold > np.iinfo(scores.dtype).max:
        return None
    value: np.generic = scores.dtype.type(threshold)
    return value


def _anchors_px(spec: ModelSpec) -> NDArray[np.float64]:
    """Return the anchors as `(A, 4)` float64 centre-size (cy, cx, h, w), input pixels."""
    if spec.anchors is None:
        raise ValueError("an SSD head needs anchors, got none")
    width, height = spec.manifest.input.size_wh
    size = np.array([height, width, height, width], np.float64)
    anchors_px: NDArray[np.float64] = spec.anchors * size
    return anchors_px


def _sortable(values: NDArray[Any]) -> NDArray[Any]:
    """Return integers that order as the values do: of a float its bits, those below 0 reversed."""
    if values.dtype.kind != "f":
        return values
    bits = (values.astype(np.float32) + np.float32(0)).view(np.int32)  # -0.0 becomes 0.0
    return np.asarray(bits ^ ((bits >> SIGN_SHIFT) & MAGNITUDE_MASK))
