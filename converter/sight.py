"""One model's raw heads and what they decode to, image by image, through the runtime's own path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from converter.agreement import QUANTIZED_SCORE
from edge.clock import StageClock
from edge.heads import task_of
from edge.model.loaded import load_model
from edge.preprocess import InputBuffer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.model.model_file import ModelFile
    from edge.results.class_map import ClassMap
    from edge.results.detections import Detections


@dataclass(frozen=True, slots=True)
class Look:
    """What a model gives on one image.

    Attributes:
        heads: Output role to its real values, float32, of the output's shape.
        seen: Detections down to `QUANTIZED_SCORE`, or a class map; owned by whoever looked.
    """

    heads: dict[str, NDArray[np.float32]]
    seen: Detections | ClassMap


class Sight:
    """A loaded model and its buffers.

    Args:
        file: A detector or a segmenter.

    Attributes:
        spec: The model's contract.

    Raises:
        ModelError: The runtime refuses the model, or the manifest does not fit it.
    """

    def __init__(self, file: ModelFile) -> None:
        # A segmenter keeps its own threshold: that of its foreground says which cells it covers.
        is_detector = task_of(file.description.head) == "detection"
        score = QUANTIZED_SCORE if is_detector else None
        self._model = load_model(file, thresholds=file.description.thresholds(score=score))
        self.spec = self._model.spec
        self._buffer = InputBuffer(self.spec)
        self._tensors = self._model.output_buffers()

    def look(self, image: NDArray[np.uint8]) -> Look:
        """Run the model on `(H, W, 3)` uint8, B G R."""
        self._buffer.fill(image)
        self._model.invoke(self._buffer, out=self._tensors)
        seen = self._model.decode(self._tensors, self._buffer.placement, StageClock()).copy()
        outputs = self.spec.outputs
        heads = {role: outputs[role].quant.dequantize(q) for role, q in self._tensors.items()}
        return Look(heads, cast("Detections | ClassMap", seen))
