"""SSD decoding by the book: dequantise everything, then look at one anchor and class at a time.

Shares no code with `edge.decode.ssd`. Source: Liu et al. 2016, eq. 2.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from reference.float_heads import Candidate, real_values, sigmoid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.model.spec import ModelSpec


def box_of(
    offsets: NDArray[np.float32], anchor: NDArray[np.float32], spec: ModelSpec
) -> tuple[float, float, float, float]:
    """Return the xyxy box, input pixels, of one anchor and its offsets (ty, tx, th, tw)."""
    width, height = spec.description.input.size_wh
    ty, tx, th, tw = (
        float(offset) / scale
        for offset, scale in zip(offsets, spec.description.head.box_scales, strict=True)
    )
    anchor_cy, anchor_cx, anchor_h, anchor_w = (float(side) for side in anchor)
    cy, cx = ty * anchor_h + anchor_cy, tx * anchor_w + anchor_cx
    h, w = math.exp(th) * anchor_h, math.exp(tw) * anchor_w
    return (
        (cx - w / 2) * width,
        (cy - h / 2) * height,
        (cx + w / 2) * width,
        (cy + h / 2) * height,
    )


def candidates(
    heads: dict[str, NDArray[Any]], spec: ModelSpec, *, score_threshold: float
) -> list[Candidate]:
    """Return every candidate that reaches the threshold, by anchor, then by class."""
    head = spec.description.head
    offsets = real_values(heads["boxes"], spec.outputs["boxes"])[0]
    values = real_values(heads["scores"], spec.outputs["scores"])[0]
    found = []
    for row, columns in enumerate(values):
        for column, value in enumerate(columns):
            score = sigmoid(float(value)) if head.activation == "sigmoid" else float(value)
            if score >= score_threshold and not (head.background and column == 0):
                box = box_of(offsets[row], spec.description.anchors[row], spec)
                found.append(Candidate(box, score, column - head.background))
    return found
