"""What the person who converts says of a model, where its file does not, or says otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from edge.model.declared import Told

Triple = tuple[float, float, float]
# What `--range` means: pixel values 0..255 become (pixel - mean) / std.
RANGES: dict[str, tuple[float, float]] = {
    "0..1": (0.0, 255.0),
    "-1..1": (127.5, 127.5),
    "0..255": (0.0, 1.0),
}
# Of the errors of good images, below the threshold of an anomaly: one of a hundred is above.
QUANTILE = 0.99


@dataclass(frozen=True, slots=True)
class InputChoice:
    """How a frame becomes the input tensor, as far as it is known.

    Attributes:
        color: Channel order that the model was trained on.
        mean: Per channel, pixel values, in the order of `color`.
        std: Likewise.
        resize: How the frame is made to fit.
        size_wh: Of the input, pixels, for a model that takes any size.
        swapped: Of a file: its own swap of the channels was taken out, so that the input has the
            other order than the file's.
        after: Of a file: mean and std of what it does behind a normalisation that it does not say,
            as a net does that takes numbers in 0..1.
    """

    color: Literal["rgb", "bgr", "grey"] | None = None
    mean: Triple | None = None
    std: Triple | None = None
    resize: Literal["letterbox", "stretch"] | None = None
    size_wh: tuple[int, int] | None = None
    swapped: bool = False
    after: tuple[Triple, Triple] | None = None


def told_input(told: Told | None, *, family: str | None) -> InputChoice | None:
    """Return the preprocessing that an exporter wrote beside a model; `None` where it did not.

    Where no task is named it is of detectors: YOLOv5 normalises for its classifiers otherwise, with
    ImageNet's mean. Source: `classify_transforms` of its `utils/augmentations.py`.

    Args:
        told: What it wrote.
        family: Of the model.
    """
    if told is None or (told.task == "classify") != (family == "classifier"):
        return None
    # Whether it is grey is for the graph to say: a file may say otherwise, and be wrong.
    color = None if told.color == "grey" else told.color
    return InputChoice(color=color, mean=told.mean, std=told.std, resize=told.resize)


@dataclass(frozen=True, slots=True)
class Choice:
    """Everything that the person says of the model itself.

    Attributes:
        input: Of the preprocessing.
        weights: The file of weights beside a `.cfg`.
        output: The one to keep, of a model with several.
        activation: Of a classifier that ends in raw scores.
        anchors: `--anchors` as it was typed, or the path of a file.
        box_scales: Divisors of (ty, tx, th, tw) of an SSD whose decode lies outside its file.
    """

    input: InputChoice = field(default_factory=InputChoice)
    weights: Path | None = None
    output: str | None = None
    activation: Literal["softmax", "sigmoid"] | None = None
    anchors: str | None = None
    box_scales: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """What the person says of the weights, for the manifest.

    Attributes:
        name: Of the model; `None` is what the file says, or is called.
        source: Where the weights come from; `None` is not stated, or what the file says.
        license: Of the weights; likewise.
        labels: One a class id; `None` takes those of the file, or COCO's where their number fits.
    """

    name: str | None = None
    source: str | None = None
    license: str | None = None
    labels: tuple[str, ...] | None = None
