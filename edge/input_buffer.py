"""One input tensor, together with the preprocessor that fills it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.placement import Placement
from edge.preprocess import Preprocessor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.spec import ModelSpec


class InputBuffer:
    """Owns an input tensor; one thread at a time may use it.

    Args:
        spec: The model's contract.

    Attributes:
        tensor: `(1, h, w, 3)` of the input's dtype; zeros until `fill`.
        placement: Where the last image lies in the tensor.
    """

    def __init__(self, spec: ModelSpec) -> None:
        transform = spec.description.input
        self._preprocessor = Preprocessor(transform, quant=spec.input.quant, dtype=spec.input.dtype)
        self.tensor = np.zeros(spec.input.shape, spec.input.dtype)
        self.placement = Placement.fit(
            transform.size_wh, transform.size_wh, resize=transform.resize
        )

    def fill(self, image: NDArray[np.uint8]) -> None:
        """Preprocess `(H, W, 3)` uint8, B G R, into the tensor."""
        self.placement = self._preprocessor.fill_input(image, self.tensor)
