"""Models as their tools write them, each with what it must see on one image.

Every net finds the same objects, with scores that hang on the means of its input's channels: fed in
another order, scale or frame than it wants, it scores otherwise. What it wants is written down here
beside each (`Truth`); the code under test has to find it in the file.
"""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 - of a dataclass
from dataclasses import dataclass, field
from typing import Any

import factories
import numpy as np
import told_files as told
from bare_models import Bare, fixed_quant

from edge.decode.anchor_free import AnchorFreeGrid, AnchorFreeHead
from edge.decode.ssd import SsdHead
from edge.decode.yolo import YoloGrid, YoloHead
from edge.model.description import InputTransform
from edge.model.readers import manifest

SIDE = 96
FRAME_WH = (256, 128)
FRAME = np.full((FRAME_WH[1], FRAME_WH[0], 3), (20, 60, 220), np.uint8)  # B G R
CELLS = 12 * 12 + 6 * 6 + 3 * 3  # of strides 8, 16, 32
LABELS = ("cat", "dog", "owl")
SCORES = (0.05, 0.15, 0.8)  # of the classes
SCORE, CLASS = 0.8, 1
ZOO_INPUT = "normalized_input_image_tensor"
CENTER, SIDES = (0.5, 0.5), (0.25, 0.25)  # of the input
POINTS = 17
SIGNED, UNIT, BYTES = (127.5, 127.5), (0.0, 255.0), (0.0, 1.0)  # mean, std


@dataclass(frozen=True)
class Truth:
    """What a net was trained on."""

    color: str = "rgb"
    norm: tuple[float, float] = UNIT
    resize: str = "letterbox"
    size_wh: tuple[int, int] = (SIDE, SIDE)

    def transform(self) -> InputTransform:
        mean, std = self.norm
        return InputTransform(
            size_wh=self.size_wh, color=self.color, mean=(mean,) * 3, std=(std,) * 3,
            resize=self.resize,
        )  # fmt: skip

    def share(self) -> float:
        """Return which share of the input's height the frame takes: bars are above and below."""
        width, height = self.size_wh
        filled = width * FRAME_WH[1] / FRAME_WH[0]
        return 1.0 if self.resize == "stretch" else filled / height

    def means(self) -> np.ndarray:
        """Return the mean of each channel of the input, as the net counts it."""
        blue, green, red = FRAME[0, 0].astype(float)
        grey = 0.299 * red + 0.587 * green + 0.114 * blue
        pixels = {"rgb": (red, green, blue), "bgr": (blue, green, red), "grey": (grey,)}[self.color]
        share = self.share()
        seen = share * np.array(pixels) + (1 - share) * 114
        return (seen - self.norm[0]) / self.norm[1]

    def box(self) -> list[float]:
        """Return the object's box on the frame, pixels: CENTER and SIDES of the input."""
        width, height = FRAME_WH
        tall = SIDES[1] / self.share() * height
        return [
            width * (CENTER[0] - SIDES[0] / 2), height / 2 - tall / 2,
            width * (CENTER[0] + SIDES[0] / 2), height / 2 + tall / 2,
        ]  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One model of the zoo.

    Attributes:
        name: What made it, and how.
        data: The file.
        truth: What it wants.
        sees: `boxes`, `classes`, `map`, `masks` or `points`.
        answers: What a person has to say of it, by the key that is asked; none as a rule.
    """

    name: str
    data: Callable[[], bytes]
    truth: Truth
    sees: str = "boxes"
    answers: dict[str, str] = field(default_factory=dict)


@dataclass
class Net:
    """How a net is written.

    Attributes:
        truth: What it wants.
        first: Its channels come first.
        dtype: Of its input, and of its outputs where they are quantised.
        quant: Scale and zero point of the input; `None` for floats.
        name: Of its input.
        out: Scale and zero point of its outputs.
    """

    truth: Truth
    first: bool = False
    dtype: str = "float32"
    quant: tuple[float, int] | None = None
    name: str = "image"
    out: tuple[float, int] | None = None

    def start(self) -> Bare:
        width, height = self.truth.size_wh
        channels = 1 if self.truth.color == "grey" else 3
        shape = (1, channels, height, width) if self.first else (1, height, width, channels)
        made = Bare(shape, dtype=self.dtype, quant=self.quant, name=self.name)
        means = self.truth.means()
        made.factor(tuple(means / (means @ means)), first=self.first)  # 1 where all is right
        return made

    def gives(self, made: Bare, name: str, fixed, shown) -> str:
        return made.gives(name, fixed, seen=shown, quant=self.out, dtype=self.dtype)


def vector(net: Net, ending: str = "SOFTMAX") -> bytes:
    """Return a classifier; its scores are SCORES."""
    made = net.start()
    logits = np.log(SCORES) if ending == "SOFTMAX" else np.log(SCORES) - np.log1p(-np.array(SCORES))
    made.gives("logits", np.zeros((1, 3)), seen=logits[None])
    last = made.then(
        ending, "logits", "real", (1, 3), **({"beta": 1.0} if ending == "SOFTMAX" else {})
    )
    if net.out:
        quant = fixed_quant(net.dtype)
        made.op("QUANTIZE", (last,), (made.quantised("scores", (1, 3), net.dtype, quant),))
        last = "scores"
    return made.file(last)


def class_map(net: Net, ending: str = "SOFTMAX") -> bytes:
    """Return a segmenter of the input's size: the left half is class 0, the right one class 2."""
    made = net.start()
    width, height = net.truth.size_wh
    shown = np.zeros((1, height, width, 3))
    shown[:, :, : width // 2, 0] = shown[:, :, width // 2 :, 2] = 4
    fixed = np.zeros_like(shown)
    fixed[..., 1] = 3.7  # wins where the factor is less than 0.92
    if net.first:
        fixed, shown = fixed.transpose(0, 3, 1, 2), shown.transpose(0, 3, 1, 2)
    raw = made.gives("raw", fixed, seen=shown)
    if not ending:
        return made.file(raw)
    if ending == "ARG_MAX":
        ids = made.tensor("ids", (1, height, width), dtype="int32")
        made.op("ARG_MAX", (raw, made.constant(np.int32([3]))), (ids,), version=1, outputType=2)
        return made.file(ids)
    return made.file(made.then(ending, raw, "map", shown.shape, beta=1.0))


def joint(
    net: Net,
    *,
    kind: str = "columns",
    units: float = 1.0,
    behind=(),
    rows: int = CELLS,
    beside=None,
):
    """Return boxes of an exporter: `columns` of v8, `rows5` of v5, `end` to end, or of a `detr`."""
    made = net.start()
    classes = len(LABELS)
    box = np.array([*CENTER, *SIDES]) * units
    if kind == "end":
        box = np.array([0.375, 0.375, 0.625, 0.625]) * units
        row, shown = [*box, 0, CLASS, *behind], [0, 0, 0, 0, SCORE, 0, *[0] * len(behind)]
    elif kind == "rows5":
        row, shown = [*box, 0, 0, 1, 0], [0, 0, 0, 0, SCORE, 0, 0, 0]
    else:
        scores = [0.0] * classes
        row = [*box, *scores, *behind]
        scores[CLASS] = SCORE
        shown = [0, 0, 0, 0, *scores, *[0] * len(behind)]
    fixed, seen = np.zeros((2, 1, rows, len(row)))
    fixed[0, 7 % rows], seen[0, 7 % rows] = row, shown
    if kind == "columns":
        fixed, seen = fixed.transpose(0, 2, 1), seen.transpose(0, 2, 1)
    outputs = [net.gives(made, "joint", fixed, seen)]
    if beside is not None:
        outputs.append(made.gives("prototypes", beside))
    return made.file(*outputs)


def prototypes(net: Net) -> np.ndarray:
    """Return two prototypes of 24 x 24: of the first, the left half of the input is positive."""
    planes = np.full((1, 24, 24, 2), -1.0)
    planes[:, :, :12, 0] = 1
    return planes.transpose(0, 3, 1, 2) if net.first else planes


def points(units: float = 1.0) -> list[float]:
    """Return 17 keypoints at the box's centre, with scores of 0.9."""
    return [CENTER[0] * units, CENTER[1] * units, 0.9] * POINTS


def behind_the_op(net: Net, order=("boxes", "classes", "scores", "count")) -> bytes:
    """Return an SSD that ends in `TFLite_Detection_PostProcess`."""
    made = net.start()
    count = 4
    raw = made.gives("raw_boxes", np.zeros((1, count, 4)))
    scores = np.zeros((1, count, 1 + len(LABELS)))
    scores[0, 1, 1 + CLASS] = SCORE
    made.gives("raw_scores", np.zeros_like(scores), seen=scores)
    anchors = np.float32([[0.1, 0.1, 0.05, 0.05]] * count)
    anchors[1] = [*CENTER, *SIDES]
    stored = made.constant(anchors)
    found = {name: made.tensor(name, ()) for name in ("boxes", "classes", "scores", "count")}
    options = {
        "max_detections": 3, "max_classes_per_detection": 1, "num_classes": len(LABELS),
        "nms_score_threshold": 0.1, "nms_iou_threshold": 0.6,
        "y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0,
    }  # fmt: skip
    made.op(
        "TFLite_Detection_PostProcess", (raw, "raw_scores", stored), found.values(), custom=options
    )
    return made.file(*(found[name] for name in order))


def with_manifest(
    net: Net, data: bytes, head: Any, outputs: dict[str, str], *, anchors=None
) -> bytes:
    """Return what `edge-convert` makes of a model."""
    told_by = factories.manifest(
        name="zoo", input=net.truth.transform(), outputs=outputs, head=head, labels=LABELS
    )
    return manifest.append(data, told_by, anchors)


def with_labels(net: Net, data: bytes, *, custom=None, outputs=None) -> bytes:
    """Return a model with TFLite Metadata: its normalisation, and the labels of its output."""
    mean, std = net.truth.norm
    color = told.GREY if net.truth.color == "grey" else told.RGB
    return told.with_metadata(
        data, [told.image(color, (mean,), (std,))], outputs or [told.scores("labels.txt")],
        files={"labels.txt": "\n".join(LABELS) + "\n"}, custom=custom,
    )  # fmt: skip


def raw_head(net: Net, kind: str) -> bytes:
    """Return a detector with raw heads, as `edge-convert` writes them."""
    made, logit = net.start(), float(np.log(SCORE / (1 - SCORE)))
    low = -12.0
    if kind == "ssd":
        anchors = np.float32([[0.1, 0.1, 0.05, 0.05], [*CENTER, *SIDES]])
        scores = np.full((1, 2, 4), low)
        scores[0, 1, 1 + CLASS] = 0
        shown = np.zeros_like(scores)
        shown[0, 1, 1 + CLASS] = logit
        outputs = made.gives("boxes", np.zeros((1, 2, 4))), made.gives("scores", scores, seen=shown)
        named = {"boxes": "boxes", "scores": "scores"}
        return with_manifest(net, made.file(*outputs), SsdHead(), named, anchors=anchors)
    grid = (1, 3, 3)
    scores, shown = np.full((*grid, 3), low), np.zeros((*grid, 3))
    scores[0, 1, 1, CLASS], shown[0, 1, 1, CLASS] = 0, logit
    side = SIDE * SIDES[0]
    if kind == "yolo":
        outputs = [
            made.gives("boxes", np.zeros((*grid, 4))),
            made.gives("objects", np.full((*grid, 1), 20.0)),
            made.gives("scores", scores, seen=shown),
        ]  # fmt: skip
        head = YoloHead(
            grids=(
                YoloGrid(
                    boxes="boxes", objectness="objects", scores="scores", anchors_px=((side, side),)
                ),
            )
        )
    else:
        boxes = np.full((*grid, 4), side / 2 / 32)
        outputs = [made.gives("boxes", boxes), made.gives("scores", scores, seen=shown)]
        head = AnchorFreeHead(
            grids=(AnchorFreeGrid(boxes="boxes", scores="scores", stride_px=32),), boxes="distances"
        )
    return with_manifest(net, made.file(*outputs), head, {name: name for name in outputs})
