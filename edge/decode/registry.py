"""Which decoder a head needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from edge.decode.anchor_free import AnchorFreeDecoder
from edge.decode.ssd import SsdDecoder
from edge.decode.yolo import YoloDecoder
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from edge.model.spec import ModelSpec


class Decoder(Protocol):
    """Turns raw heads into candidates that have not met each other yet.

    Attributes:
        boxes: `(max_candidates, 4)` float32, xyxy, input pixels, not clipped, finite.
        scores: `(max_candidates,)` float32 in [0, 1].
        class_ids: `(max_candidates,)` int32, indices into the labels.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]

    def decode(self, heads: dict[str, NDArray[Any]]) -> int:
        """Decode one frame into rows ``[:n]`` of the buffers; return `n`."""


# By `kind` of head.
DECODERS: dict[str, Callable[..., Decoder]] = {
    "ssd": SsdDecoder,
    "yolo": YoloDecoder,
    "anchor_free": AnchorFreeDecoder,
}


def decoder_of(spec: ModelSpec, *, score_threshold: float, max_candidates: int) -> Decoder:
    """Return the decoder of this model's head, with buffers of its own.

    Raises:
        ModelError: The head gives no boxes.
    """
    kind = spec.manifest.head.kind
    if kind not in DECODERS:
        raise ModelError(
            f"model {spec.manifest.name}: expected a head that gives boxes "
            f"({', '.join(DECODERS)}), found {kind}; give a detector's model"
        )
    return DECODERS[kind](spec, score_threshold=score_threshold, max_candidates=max_candidates)
