"""One model's four stages on one image, for whoever runs them: pipeline, evaluation, verification.

The pipeline calls the stages one by one, times them, and runs the last two on another thread;
`detect` runs them in a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.decode.ssd import SsdDecoder
from edge.detections import Detections
from edge.interpreter import Interpreter
from edge.nms import Suppressor
from edge.preprocess import Preprocessor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.interpreter import Heads
    from edge.manifest import ModelFile
    from edge.model_spec import ModelSpec
    from edge.placement import Placement

# Of a COCO scene with some 7 objects, 20-30 candidates pass a score of 0.5; random weights give 130.
MAX_CANDIDATES = 256
MAX_DETECTIONS = 100


class Detector:
    """A loaded model with the buffers of its stages.

    `preprocess` and `invoke` belong to one thread, `decode` and `suppress` to one thread, which may be
    another: the two pairs share nothing but the heads and the placement that the caller passes on.

    Args:
        file: A verified model file.
        threads: Of the interpreter, >= 1.
        score_threshold: In [0, 1]; `None` takes the manifest's.
        iou_threshold: In [0, 1]; `None` takes the manifest's.
        max_candidates: Best scores that meet each other in suppression.
        max_detections: Most that one frame can give.

    Raises:
        ModelError: The runtime refuses the model, or the manifest does not fit it.
    """

    def __init__(
        self,
        file: ModelFile,
        *,
        threads: int = 1,
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
        max_candidates: int = MAX_CANDIDATES,
        max_detections: int = MAX_DETECTIONS,
    ) -> None:
        manifest = file.manifest
        self._interpreter = Interpreter(file, threads=threads)
        self._input = self._interpreter.input_buffer()
        self._preprocessor = Preprocessor(
            manifest.input, quant=self.spec.input.quant, dtype=self.spec.input.dtype
        )
        score = manifest.score_threshold if score_threshold is None else score_threshold
        self._decoder = SsdDecoder(self.spec, score_threshold=score, max_candidates=max_candidates)
        self._suppressor = Suppressor(max_candidates)
        self._iou_threshold = manifest.iou_threshold if iou_threshold is None else iou_threshold
        self._max_detections = max_detections
        self._heads = self.heads()

    @property
    def spec(self) -> ModelSpec:
        """The model's contract."""
        return self._interpreter.spec

    def heads(self) -> Heads:
        """Return new buffers for the raw heads, by role, owned by the caller."""
        return self._interpreter.output_buffers()

    def preprocess(self, image: NDArray[np.uint8]) -> Placement:
        """Write `(H, W, 3)` uint8 B G R into the input; return where it lies there."""
        return self._preprocessor.fill_input(image, self._input)

    def invoke(self, heads: Heads) -> None:
        """Run the model on the input and copy its raw heads out."""
        self._interpreter.invoke(self._input, out=heads)

    def decode(self, heads: Heads) -> int:
        """Decode the candidates above the score threshold; return their number."""
        return self._decoder.decode(heads)

    def suppress(self, candidates: int, placement: Placement) -> Detections:
        """Suppress the decoded candidates; return what is left, in source pixels.

        The arrays are the decoder's, and hold until the next `decode`.
        """
        decoder = self._decoder
        count = self._suppressor.suppress_inplace(
            decoder.boxes[:candidates],
            decoder.scores[:candidates],
            decoder.class_ids[:candidates],
            iou_threshold=self._iou_threshold,
            max_detections=self._max_detections,
        )
        boxes = decoder.boxes[:count]
        placement.boxes_to_source_inplace(boxes)
        return Detections(boxes, decoder.scores[:count], decoder.class_ids[:count])

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """Run all four stages on one image; the result holds until the next call."""
        placement = self.preprocess(image)
        self.invoke(self._heads)
        return self.suppress(self.decode(self._heads), placement)
