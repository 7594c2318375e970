"""What a bare model file declares, and what its outputs may be read as.

A file runs without a description of its own only where exactly one reading of all heads fits: a
wrong guess is worse than a question.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from edge.model.quant import Quant

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from edge.model.description import HeadSchema
    from edge.model.spec import TensorSpec

Triple = tuple[float, float, float]
Color = Literal["rgb", "bgr", "grey"]
CHANNEL_COUNTS = (1, 3)  # of an input that a camera can fill
IMAGE_AXES = 4


@dataclass(frozen=True, slots=True)
class Terminal:
    """An input or output of the graph, and the op that computes it.

    Attributes:
        tensor: As the file declares it: -1 is an open side, `()` a shape that only running gives.
        made_by: Kind of the op, such as `SOFTMAX`, or a custom op's name. Ops that only move or
            requantise values (`RESHAPE`, `TRANSPOSE`, `QUANTIZE`, ...) are passed through.
        made_shape: Of what that op itself gives.
        made_of_shape: Of what it reads first.
        place: Which of that op's outputs it is, from 0.
        options: What a custom op was told, such as `max_detections`.
    """

    tensor: TensorSpec
    made_by: str = ""
    made_shape: tuple[int, ...] = ()
    made_of_shape: tuple[int, ...] = ()
    place: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the interpreter calls it."""
        return self.tensor.name

    @property
    def shape(self) -> tuple[int, ...]:
        """As declared, an open batch counted as 1."""
        shape = self.tensor.shape
        return (1, *shape[1:]) if shape[:1] == (-1,) else shape


@dataclass(frozen=True, slots=True)
class Told:
    """What a file says of itself beside its tensors; `None` and empty: nothing.

    Attributes:
        by: Where it stands, in words; empty for nowhere.
        name: Of the model.
        labels: Text of each class id.
        color: Channel order of the input.
        mean: In pixel values 0..255, in the order of `color`.
        std: Likewise.
        size_wh: Of the input, pixels, where its tensor is open.
        resize: As of `InputTransform`.
        task: The exporter's word for what the model is for, such as `detect` or `segment`.
        facts: All else that an exporter wrote, by its keys: `end2end`, `kpt_shape`, `stride`, ...
    """

    by: str = ""
    name: str = ""
    labels: tuple[str, ...] = ()
    color: Color | None = None
    mean: Triple | None = None
    std: Triple | None = None
    size_wh: tuple[int, int] | None = None
    resize: Literal["letterbox", "stretch"] | None = None
    task: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Declared:
    """A model file as its tables have it; nothing was run.

    Attributes:
        inputs: In the graph's order.
        outputs: Likewise.
        told: What the file's own metadata says.
        is_onnx: It is an ONNX model: nothing says which ops make its outputs.
    """

    inputs: tuple[Terminal, ...]
    outputs: tuple[Terminal, ...]
    told: Told = field(default_factory=Told)
    is_onnx: bool = False

    @property
    def channels_first(self) -> bool:
        """Whether the only input is `(1, C, H, W)`."""
        image = self.image_shape
        return image is not None and self.inputs[0].shape[3] != image[2]

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """Rows, columns and channels of the only input, of either layout; `None` if it is no image.

        An open side is -1. `(1, 3, H, W)` has its channels first, `(1, H, W, 3)` last.
        """
        if len(self.inputs) != 1:
            return None
        shape = self.inputs[0].shape
        if len(shape) != IMAGE_AXES or shape[0] != 1:
            return None
        last, first = (shape[axis] in CHANNEL_COUNTS for axis in (3, 1))
        if last == first:
            return None
        return shape[1:] if last else (shape[2], shape[3], shape[1])  # type: ignore[return-value]

    def only_output(self) -> Terminal | None:
        """Return the output of a model that has one."""
        return self.outputs[0] if len(self.outputs) == 1 else None


@dataclass(frozen=True, slots=True)
class Reading:
    """One meaning that a model's outputs may have.

    Attributes:
        head: What they mean.
        outputs: Output role to tensor name.
        why: What in the file says so, as a clause: "the output is a softmax over 1001 classes".
        classes: How many labels the head needs; `None`: as many as are told.
        color: Channel order that every file which looks like this takes; `None`: look elsewhere.
        mean: Likewise, with `std`.
        std: Likewise.
        resize: What such models are fed: `stretch` or `letterbox`.
        labels: Of each class, where the head itself knows them.
        unknown: Keys of the description that the file does not tell, with what to choose among:
            `{"head.activation": '"softmax" or "sigmoid"'}`. Such a reading is only ever a draft.
        anchors: `(A, 4)`, for heads that have them.
    """

    head: HeadSchema
    outputs: dict[str, str]
    why: str
    classes: int | None = None
    color: str | None = None
    mean: Triple | None = None
    std: Triple | None = None
    resize: str = "stretch"
    labels: tuple[str, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    anchors: NDArray[np.float32] | None = None


def is_fixed(tensor: TensorSpec) -> bool:
    """Whether a tensor has the one quantisation that LiteRT demands of a softmax or a sigmoid.

    Source: TensorFlow Lite's 8-bit quantisation specification: LOGISTIC and SOFTMAX give a scale of
    1 / 256 with real 0 at the least integer.
    """
    if tensor.dtype.kind not in "iu" or tensor.dtype.itemsize != 1:
        return False
    return tensor.quant == Quant(1 / 256, 0 if tensor.dtype.kind == "u" else -128)


def class_labels(count: int, word: str = "class") -> tuple[str, ...]:
    """Return labels for what nobody named: they say no more than their number."""
    return tuple(f"{word} {number}" for number in range(count))
