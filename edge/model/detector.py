"""One model's four stages, for whoever runs them: pipeline, evaluation, verification.

The pipeline spreads them over three threads; `detect` runs them in a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.decode.candidates import keep_inplace
from edge.decode.registry import decoder_of
from edge.decode.suppress import Suppressor
from edge.model.delegates import CPU
from edge.model.interpreter import Interpreter
from edge.preprocess import InputBuffer
from edge.results.detections import Detections

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.decode.registry import Decoder
    from edge.model.interpreter import Heads
    from edge.model.manifest import ModelFile
    from edge.model.spec import ModelSpec
    from edge.placement import Placement

# Of a COCO scene with some 7 objects, 20-30 candidates pass a score of 0.5; of random weights, 130.
MAX_CANDIDATES = 256
MAX_DETECTIONS = 100


class Detector:
    """A loaded model with the buffers of its stages.

    Filling an input buffer, `invoke`, and `decode` with `finish` may each have a thread of its
    own: they share nothing but the buffer, the heads and the placement that the caller passes on.

    Args:
        file: A verified model file.
        threads: Of the interpreter, >= 1.
        score_threshold: In [0, 1]; `None` takes the manifest's.
        iou_threshold: In [0, 1]; `None` takes the manifest's.
        max_candidates: Best scores that meet each other in suppression.
        max_detections: Most that one frame can give.
        delegate: What runs the model, as `edge.model.delegates.parse` takes it.

    Attributes:
        finish_stage: The stage that `finish` is.

    Raises:
        ModelError: The runtime refuses the model, or the manifest does not fit it.
        DelegateError: The delegate cannot be loaded, or the model is not made for it.
    """

    finish_stage = "suppress"

    def __init__(  # noqa: PLR0913 - one model, and six choices by name
        self,
        file: ModelFile,
        *,
        threads: int = 1,
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
        max_candidates: int = MAX_CANDIDATES,
        max_detections: int = MAX_DETECTIONS,
        delegate: str = CPU,
    ) -> None:
        manifest = file.manifest
        self._interpreter = Interpreter(file, threads=threads, delegate=delegate)
        score = manifest.score_threshold if score_threshold is None else score_threshold
        self._decoder = decoder_of(self.spec, score_threshold=score, max_candidates=max_candidates)
        self._suppressor = Suppressor(max_candidates)
        self._iou_threshold = manifest.iou_threshold if iou_threshold is None else iou_threshold
        self._max_detections = max_detections
        self._input = InputBuffer(self.spec)
        self._heads = self.heads()

    @property
    def spec(self) -> ModelSpec:
        """The model's contract."""
        return self._interpreter.spec

    def heads(self) -> Heads:
        """Return new buffers for the raw heads, by role, owned by the caller."""
        return self._interpreter.output_buffers()

    def input_buffers(self) -> tuple[InputBuffer, InputBuffer, InputBuffer]:
        """Return new input tensors, owned by the caller: one to fill, one waiting, one in use."""
        return InputBuffer(self.spec), InputBuffer(self.spec), InputBuffer(self.spec)

    def invoke(self, buffer: InputBuffer, *, out: Heads) -> None:
        """Run the model on a filled input and copy its raw heads out."""
        self._interpreter.invoke(buffer.tensor, out=out)

    def invoke_bare(self) -> None:
        """Run the model on whatever its input holds; what a benchmark compares a pipeline with."""
        self._interpreter.invoke_bare()

    def decode(self, heads: Heads) -> int:
        """Decode the candidates above the score threshold; return their number."""
        return self._decoder.decode(heads)

    def finish(self, candidates: int, placement: Placement) -> Detections:
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
        placement.boxes_to_source_inplace(decoder.boxes[:count])
        count = _drop_empty_inplace(count, decoder)
        return Detections(decoder.boxes[:count], decoder.scores[:count], decoder.class_ids[:count])

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """Run all four stages on one image; the result holds until the next call."""
        self._input.fill(image)
        self.invoke(self._input, out=self._heads)
        return self.finish(self.decode(self._heads), self._input.placement)


def _drop_empty_inplace(count: int, decoder: Decoder) -> int:
    """Drop what lay wholly outside the frame, and has no area once it is clipped."""
    boxes = decoder.boxes[:count]
    visible = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])  # (count,)
    return keep_inplace(visible, (decoder.boxes, decoder.scores, decoder.class_ids))
