"""The contract of one loaded model: its description joined with what the file's tensors say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    import numpy as np

    from edge.model.description import Description
    from edge.model.quant import Quant

# The raw outputs of one frame, by role.
Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output tensor, as the file describes it.

    Attributes:
        name: The interpreter's name of it.
        index: The interpreter's number of it.
        shape: Batch first; -1 is an open side, and `()` may be what only running tells.
        dtype: Element type.
        quant: Per-tensor quantisation; `Quant()` for float tensors.
    """

    name: str
    index: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    quant: Quant


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What decode and preprocess need to know; consistent once `edge.model.loaded.join` made it.

    Attributes:
        description: Who the model is.
        input: The only input, `(1, H, W, C)` or `(1, C, H, W)`.
        outputs: Output role to tensor.
    """

    description: Description
    input: TensorSpec
    outputs: dict[str, TensorSpec]

    @property
    def channels_first(self) -> bool:
        """Whether the input is `(1, C, H, W)`."""
        return self.input.shape != self.description.input.shape
