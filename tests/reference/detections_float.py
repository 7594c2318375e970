"""Ready detections by the book: one row at a time, in Python's own numbers.

Shares no code with `edge.decode`. Source: `detection_postprocess.cc` of TensorFlow Lite for what
its four outputs are; the rows of six of end-to-end YOLOs (Wang et al. 2024, "YOLOv10").
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from reference.float_heads import MAX_CELLS, Candidate, clamp, real_values, sound

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.spec import ModelSpec


def candidates(
    heads: dict[str, NDArray[Any]], spec: ModelSpec, *, score_threshold: float
) -> list[Candidate]:
    """Return every row in use that reaches the threshold and has a label, in their order."""
    head = spec.description.head
    real = {role: real_values(heads[role], spec.outputs[role]).reshape(-1) for role in heads}
    if "rows" in real:
        rows = real["rows"].reshape(-1, 6).tolist()
    else:
        boxes = real["boxes"].reshape(-1, 4).tolist()
        columns = zip(boxes, real["scores"].tolist(), real["classes"].tolist(), strict=True)
        rows = [[*box, score, number] for box, score, number in columns]
    found = []
    for *raw, score, number in rows[: _in_use(real, len(rows))]:
        if not (score >= score_threshold and math.isfinite(number)):
            continue
        class_id = round(number) - head.first_class
        if 0 <= class_id < len(spec.description.labels):
            found.append(Candidate(xyxy(raw, spec), min(score, 1.0), class_id))
    return sound(found)


def _in_use(real: dict[str, NDArray[Any]], rows: int) -> int:
    if "count" not in real:
        return rows
    told = float(real["count"][0])
    return max(0, round(told)) if math.isfinite(told) else 0


def xyxy(raw: list[float], spec: ModelSpec) -> tuple[float, float, float, float]:
    """Return a box in pixels of the input."""
    head = spec.description.head
    width, height = spec.description.input.size_wh if head.units == "ratios" else (1, 1)
    sides = (height, width) * 2 if head.boxes == "yxyx" else (width, height) * 2
    first, second, third, fourth = (
        clamp(value, MAX_CELLS) * side for value, side in zip(raw, sides, strict=True)
    )
    if head.boxes == "yxyx":
        return second, first, fourth, third
    if head.boxes == "xyxy":
        return first, second, third, fourth
    return first - third / 2, second - fourth / 2, first + third / 2, second + fourth / 2
