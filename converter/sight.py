"""One model's raw heads and what they decode to, image by image, through the runtime's own path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from converter.agreement import QUANTIZED_SCORE
from edge.model.detector import Detector
from edge.model.heads import SegmentationHead
from edge.model.segmenter import Segmenter
from edge.preprocess import InputBuffer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.model.manifest import ModelFile
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
        self._model: Detector | Segmenter
        if isinstance(file.manifest.head, SegmentationHead):
            self._model = Segmenter(file)
        else:
            self._model = Detector(file, score_threshold=QUANTIZED_SCORE)
        self.spec = self._model.spec
        self._buffer = InputBuffer(self.spec)
        self._heads = self._model.heads()

    def look(self, image: NDArray[np.uint8]) -> Look:
        """Run the model on `(H, W, 3)` uint8, B G R."""
        self._buffer.fill(image)
        self._model.invoke(self._buffer, out=self._heads)
        candidates = self._model.decode(self._heads)
        seen = self._model.finish(candidates, self._buffer.placement).copy()
        outputs = self.spec.outputs
        heads = {role: outputs[role].quant.dequantize(q) for role, q in self._heads.items()}
        return Look(heads, seen)
