"""One segmentation model's stages, for whoever runs them: pipeline, evaluation, verification.

The pipeline spreads them over three threads; `segment` runs them in a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.decode.segmentation import SegmentationDecoder
from edge.model.delegates import CPU
from edge.model.interpreter import Interpreter
from edge.preprocess import InputBuffer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.model.interpreter import Heads
    from edge.model.manifest import ModelFile
    from edge.model.spec import ModelSpec
    from edge.placement import Placement
    from edge.results.class_map import ClassMap


class Segmenter:
    """A loaded model with the buffers of its stages; threads share as little as a `Detector`'s.

    Args:
        file: A verified model file.
        threads: Of the interpreter, >= 1.
        score_threshold: Of the foreground, where one channel stands for two classes, in [0, 1];
            `None` takes the manifest's.
        delegate: What runs the model, as `edge.model.delegates.parse` takes it.

    Attributes:
        finish_stage: The stage that `finish` is a part of: no candidate is suppressed.

    Raises:
        ModelError: The runtime refuses the model, or the manifest does not fit it.
        DelegateError: The delegate cannot be loaded, or the model is not made for it.
    """

    finish_stage = "decode"

    def __init__(
        self,
        file: ModelFile,
        *,
        threads: int = 1,
        score_threshold: float | None = None,
        delegate: str = CPU,
    ) -> None:
        self._interpreter = Interpreter(file, threads=threads, delegate=delegate)
        score = file.manifest.score_threshold if score_threshold is None else score_threshold
        self._decoder = SegmentationDecoder(self.spec, score_threshold=score)
        self._input = InputBuffer(self.spec)
        self._heads = self.heads()

    @property
    def spec(self) -> ModelSpec:
        """The model's contract."""
        return self._interpreter.spec

    @property
    def background(self) -> int | None:
        """The class id that is nothing in particular, if there is one."""
        return self._decoder.head.background

    def heads(self) -> Heads:
        """Return a new buffer for the raw output, by role, owned by the caller."""
        return self._interpreter.output_buffers()

    def input_buffers(self) -> tuple[InputBuffer, InputBuffer, InputBuffer]:
        """Return new input tensors, owned by the caller: one to fill, one waiting, one in use."""
        return InputBuffer(self.spec), InputBuffer(self.spec), InputBuffer(self.spec)

    def invoke(self, buffer: InputBuffer, *, out: Heads) -> None:
        """Run the model on a filled input and copy its raw output out."""
        self._interpreter.invoke(buffer.tensor, out=out)

    def invoke_bare(self) -> None:
        """Run the model on whatever its input holds; what a benchmark compares a pipeline with."""
        self._interpreter.invoke_bare()

    def decode(self, heads: Heads) -> int:
        """Decode the class of each cell; return their number."""
        return self._decoder.decode(heads)

    def finish(self, cells: int, placement: Placement) -> ClassMap:  # noqa: ARG002 - as a Detector
        """Return the decoded cells that the frame covers.

        The array is the decoder's, and holds until the next `decode`.
        """
        return self._decoder.class_map(placement)

    def segment(self, image: NDArray[np.uint8]) -> ClassMap:
        """Run all three stages on one image; the result holds until the next call."""
        self._input.fill(image)
        self.invoke(self._input, out=self._heads)
        return self.finish(self.decode(self._heads), self._input.placement)
