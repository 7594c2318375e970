"""Who a model is: what preprocess and decode must know of it, whoever wrote that down."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from msgspec import Meta

from edge.record import Finite, PositiveFloat, PositiveInt, Ratio, Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HeadT = TypeVar("HeadT", bound="HeadSchema")
Suppression = Literal["class", "all", "none"]

MAX_DETECTIONS = 100
# Far over any input; a tensor of this side has no size that a runtime's own integers cannot hold.
InputSide = Annotated[int, Meta(ge=1, le=2**16)]
# Of a COCO scene with some 7 objects, 20-30 candidates pass a score of 0.5; of random weights, 130.
MIN_CANDIDATES = 256
# So that overlapping candidates leave room for as many detections as were asked for.
CANDIDATES_PER_DETECTION = 2


class InputTransform(Record, frozen=True):
    """How a frame becomes the input tensor: resize, colour order, then ``(pixel - mean) / std``.

    Attributes:
        size_wh: Width and height of the input tensor, pixels.
        color: Channel order that the model was trained on, or `grey` for a single channel.
        mean: Per channel, in pixel values 0..255, in the order of `color`; the first for grey.
        std: Per channel, in pixel values, > 0.
        resize: `stretch` fills the input; `letterbox` keeps the aspect, centred.
        padding: Pixel value of the letterbox bars, before the normalisation.
    """

    size_wh: tuple[InputSide, InputSide]
    color: Literal["rgb", "bgr", "grey"]
    mean: tuple[Finite, Finite, Finite]
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    resize: Literal["letterbox", "stretch"]
    padding: Annotated[int, Meta(ge=0, le=255)] = 114

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of an input tensor with the channels last: `(1, H, W, C)`."""
        width, height = self.size_wh
        return 1, height, width, 1 if self.color == "grey" else 3

    @property
    def shapes(self) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
        """Which an input tensor may have: `(1, H, W, C)`, `(1, C, H, W)`."""
        batch, height, width, channels = self.shape
        return self.shape, (batch, channels, height, width)


class HeadSight(Record, frozen=True, kw_only=True):
    """How the values of one head of 8 bits were spread over the calibration images.

    Attributes:
        histogram: Share of them in each of 16 equal parts of the 256 values.
        lowest_ratio: Share that is the least value, and so may be any below.
        highest_ratio: Likewise of the greatest.
        spread: Greatest distance of one image from these, as `edge.stages.world.distance` has it.
    """

    histogram: Annotated[tuple[Ratio, ...], Meta(min_length=16, max_length=16)]
    lowest_ratio: Ratio
    highest_ratio: Ratio
    spread: Ratio


class Sight(Record, frozen=True, kw_only=True):
    """What the calibration images look like, for the self-check.

    Attributes:
        images: Number of images.
        saturated_ratio: Mean share of the input tensor's values that are its least or greatest.
        clipped_ratio: Greatest share of pixels of an image that are black or white.
        heads: Output role to what it holds; of heads of 8 bits.
    """

    images: PositiveInt
    saturated_ratio: Ratio
    clipped_ratio: Ratio
    heads: dict[str, HeadSight]


class HeadSchema(Record, frozen=True, tag_field="kind"):
    """What the raw outputs of a model mean; each kind stands beside its decoder.

    Every spatial output is laid out as LiteRT has it: batch, row, column, channel.

    Its tag, in files the key `kind`, is a key of `edge.heads.HEADS`.
    """

    @property
    def kind(self) -> str:
        """A key of `edge.heads.HEADS`."""
        return str(self.__struct_config__.tag)

    @property
    def is_suppressed(self) -> bool:
        """Whether it gives no two boxes of one object, so that no IoU threshold is asked."""
        boxes = getattr(self, "boxes", None)
        if isinstance(boxes, HeadSchema):
            return boxes.is_suppressed
        return bool(getattr(self, "suppressed", False))


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What may change between two frames of one loaded model.

    Attributes:
        score: Least score, in [0, 1], compared in float32.
        iou: Greatest IoU of two detections of a class, in [0, 1].
        max_detections: Most of one frame, >= 1.
        max_candidates: Best scores that meet each other in suppression; by default as many as
            `max_detections` needs.
        suppression: Which candidates meet: of one `class`, `all`, or `none`; by default of a
            class, and none of a head that says it is suppressed.
    """

    score: float
    iou: float
    max_detections: int = MAX_DETECTIONS
    max_candidates: int | None = None
    suppression: Suppression | None = None

    def changed(self, **given: float | str | None) -> Thresholds:
        """Return them with those changed that are given."""
        changes: dict[str, Any] = {
            name: value for name, value in given.items() if value is not None
        }
        return replace(self, **changes)

    def of_suppressed(self) -> Thresholds:
        """Return them as they hold for boxes that are suppressed already."""
        return self if self.suppression else replace(self, suppression="none")

    @property
    def candidates(self) -> int:
        """How many candidates of a frame stay, the best ones."""
        wanted = max(MIN_CANDIDATES, CANDIDATES_PER_DETECTION * self.max_detections)
        return wanted if self.max_candidates is None else self.max_candidates


@dataclass(frozen=True, slots=True)
class Description:
    """What preprocess and decode need to know of a model.

    Attributes:
        name: Of the model, as messages tell it.
        digest: `sha256:` and the hex digest of the FlatBuffer.
        input: How a frame becomes the input tensor.
        outputs: Output role to tensor name, as the interpreter spells it.
        head: What the outputs mean.
        labels: Text of each class id; the empty string marks an id that the data set never used.
        score_threshold: Default of the runtime; a configuration may say otherwise.
        iou_threshold: Likewise, for suppression.
        anchors: `(A, 4)` float32, normalised centre-size (cy, cx, h, w); `None` for heads without.
        sight: What the calibration images looked like to the model; `None` where nobody says.
    """

    name: str
    digest: str
    input: InputTransform
    outputs: dict[str, str]
    head: HeadSchema
    labels: tuple[str, ...]
    score_threshold: float = 0.5
    iou_threshold: float = 0.6
    anchors: NDArray[np.float32] | None = field(default=None, compare=False)
    sight: Sight | None = None

    def head_as(self, schema: type[HeadT]) -> HeadT:
        """Return the head as what a decoder of its kind takes.

        Raises:
            TypeError: It is of another kind.
        """
        if not isinstance(self.head, schema):
            wanted = schema.__struct_config__.tag
            raise TypeError(f"expected a head of kind {wanted}, got {self.head.kind}")
        return self.head

    def thresholds(self, **given: float | str | None) -> Thresholds:
        """Return the description's own thresholds where none is given."""
        return Thresholds(self.score_threshold, self.iou_threshold).changed(**given)
