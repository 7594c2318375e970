"""Which outputs of a bare file are boxes, and of which kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.decode.detections import DetectionsHead
from edge.model.declared import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.model.declared import Declared

DETECTION_OP = "TFLite_Detection_PostProcess"
# Of that op, by the place of its output, whatever their order in the graph is: TensorFlow 1 and 2
# export two. Source: detection_postprocess.cc of TensorFlow Lite.
DETECTION_ROLES = ("boxes", "classes", "scores", "count")


def of_detections(model: Declared) -> Iterator[Reading]:
    """Read what an op or a graph detected and suppressed itself."""
    if all(one.made_by == DETECTION_OP for one in model.outputs) and model.outputs:
        outputs = {
            DETECTION_ROLES[one.place]: one.name
            for one in model.outputs
            if one.place < len(DETECTION_ROLES)
        }
        options = model.outputs[0].options
        if len(outputs) == len(model.outputs) and {"boxes", "scores", "classes"} <= outputs.keys():
            yield Reading(
                DetectionsHead(boxes="yxyx", units="ratios"),
                outputs,
                f"the outputs are those of the op {DETECTION_OP}",
                classes=int(options.get("num_classes", 0)) or None,
                color="rgb",
            )
