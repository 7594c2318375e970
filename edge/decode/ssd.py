"""Raw SSD heads to candidate boxes: thresholded as they are, dequantised only where they pass.

Source: Liu et al. 2016, "SSD: Single Shot MultiBox Detector", eq. 2; the factors that undo its
variances are the manifest's `box_scales`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge.decode.activation import Activation, clamp_inplace, least_raw, logit
from edge.decode.candidates import Candidates, best_rows
from edge.decode.flags import Flags
from edge.model.heads import SsdHead

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.spec import ModelSpec

# In anchor sides, and as the logarithm of a side's growth. Only a damaged float head comes near:
# real ones stay below 5, and e^32 still leaves the area of a box finite in float32.
MAX_OFFSET = 32.0


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
        self._max_candidates = max_candidates
        self._columns = columns
        self._has_background = head.background
        self._boxes_quant = spec.outputs["boxes"].quant
        self._may_be_nan = spec.outputs["boxes"].dtype.kind == "f"
        real = logit(score_threshold) if head.activation == "sigmoid" else score_threshold
        self._threshold = least_raw(spec.outputs["scores"], real)
        self._activate = Activation(spec.outputs["scores"], head.activation)
        self._passes = Flags(anchors * columns)
        self._anchors_px = _anchors_px(spec)
        self._box_scales = np.array(head.box_scales)
        self._candidates = Candidates(max_candidates)
        self.boxes = self._candidates.boxes
        self.scores = self._candidates.scores
        self.class_ids = self._candidates.class_ids

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
        np.greater_equal(raw_scores, self._threshold, out=self._passes.each)
        if self._has_background:
            self._passes.each[:: self._columns] = False
        flat = self._passes.positions()  # (n,)
        raw = raw_scores[flat]
        if len(flat) > self._max_candidates:
            best = best_rows(raw, keep=self._max_candidates)
            flat, raw = flat[best], raw[best]
        count = len(flat)
        if count == 0:
            return 0
        rows = flat // self._columns  # and not `divmod`, which is three times as slow
        np.subtract(flat, rows * self._columns, out=self.class_ids[:count])
        self.class_ids[:count] -= self._has_background
        self.scores[:count] = self._activate(raw)
        self._fill_boxes(heads["boxes"][0].take(rows, axis=0), rows)
        self._candidates.count = count
        return self._candidates.drop_nan() if self._may_be_nan else count

    def _fill_boxes(self, raw: NDArray[Any], rows: NDArray[np.int64]) -> None:
        """Decode `(n, 4)` raw offsets (ty, tx, th, tw) of the anchors in `rows`.

        In float64, as TensorFlow Lite's own decoder computes; for so few it costs nothing.
        """
        offsets = self._boxes_quant.dequantize(raw) / self._box_scales  # (n, 4)
        clamp_inplace(offsets, MAX_OFFSET)
        anchors = self._anchors_px.take(rows, axis=0)
        sides_yx = anchors[:, 2:]  # (n, 2)
        centers_yx = offsets[:, :2] * sides_yx + anchors[:, :2]
        halves_yx = np.exp(offsets[:, 2:]) * (sides_yx * 0.5)
        boxes = self.boxes[: len(raw)]
        np.subtract(centers_yx, halves_yx, out=boxes[:, 1::-1])  # columns 1 and 0
        np.add(centers_yx, halves_yx, out=boxes[:, :1:-1])  # columns 3 and 2


def _anchors_px(spec: ModelSpec) -> NDArray[np.float64]:
    """Return the anchors as `(A, 4)` float64 centre-size (cy, cx, h, w), input pixels."""
    if spec.anchors is None:
        raise ValueError("an SSD head needs anchors, got none")
    width, height = spec.manifest.input.size_wh
    size = np.array([height, width, height, width], np.float64)
    anchors_px: NDArray[np.float64] = spec.anchors * size
    return anchors_px
