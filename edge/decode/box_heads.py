"""The kinds of heads that give boxes: what a row of heads is, and those that others build upon.

Instance masks and keypoints stand beside the boxes of any of them. A new kind of boxes is a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Union

from edge.decode import anchor_free, decoded, detections, ssd, yolo

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.frame import Placement, StageClock
    from edge.model.description import HeadSchema, Thresholds
    from edge.model.spec import ModelSpec, Tensors
    from edge.results.observation import Result


class Decoder(Protocol):
    """Turns the raw outputs of one frame into what they mean."""

    def decode(self, tensors: Tensors, placement: Placement, clock: StageClock) -> Result:
        """Return what was seen, on the source frame; borrowed until the next call.

        Args:
            tensors: Output role to raw tensor, of the spec's shapes and dtypes; read only.
            placement: Where the frame lies in the input.
            clock: Told when each stage is over, `decode` at least.
        """


@dataclass(frozen=True, slots=True)
class Head:
    """One kind of head.

    Attributes:
        schema: What a description says of it.
        check: Compares it with the model's tensors, labels and anchors; raises `Misfit`.
        decoder: Makes what decodes it, with buffers of its own.
        task: What it is for, a key of `edge.tasks.TASKS`.
        describe: What `edge inspect` says of it, rows of a word and a text.
        reads_input: The decoder's tensors hold the input tensor too, under `input`.
    """

    schema: type[HeadSchema]
    check: Callable[[ModelSpec], None]
    decoder: Callable[[ModelSpec, Thresholds], Decoder]
    task: str
    describe: Callable[[ModelSpec], list[tuple[str, str]]]
    reads_input: bool = False


# Each decoder is a `BoxDecoder`, or has its `candidates`, `bounds` and `place_cells`.
BOX_HEADS = {
    "ssd": Head(ssd.SsdHead, ssd.check, ssd.SsdDecoder, "detection", ssd.describe),
    "yolo": Head(yolo.YoloHead, yolo.check, yolo.YoloDecoder, "detection", yolo.describe),
    "anchor_free": Head(anchor_free.AnchorFreeHead, anchor_free.check,
        anchor_free.AnchorFreeDecoder, "detection", anchor_free.describe),
    "decoded": Head(decoded.DecodedHead, decoded.check,
        decoded.DecodedDecoder, "detection", decoded.describe),
    "detections": Head(detections.DetectionsHead, detections.check,
        detections.DetectionsDecoder, "detection", detections.describe),
}  # fmt: skip

# The field of a record that holds a head of boxes.
if TYPE_CHECKING:
    AnyBoxHead = HeadSchema
else:
    AnyBoxHead = Union[tuple(row.schema for row in BOX_HEADS.values())]  # noqa: UP007 - of a table
