"""Which of the known formulas a decode is: its answers beside what each formula would give.

Formulas and their sources stand in `edge.decode.yolo` and `edge.decode.anchor_free`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from converter.importers.heads.fields import table
from edge.decode.boxes import BOX_SIDES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.importers.heads.fields import Fields
    from converter.importers.heads.raw import Tail

    Values = NDArray[np.float64]

TOLERANCE = 1e-3  # of a value; float16 weights are gone by then, the decode computes in float32
TOLERANCE_PX = 0.02
# Anchors and factors are short numbers in every configuration; float32 is good to 7 digits.
DIGITS = 5


@dataclass(frozen=True, slots=True)
class Decode:
    """A decode that is known.

    Attributes:
        boxes: `anchors`, or what `edge.decode.anchor_free` calls them.
        classes: Independent scores, or one among the classes.
        anchors_px: `(grids, B, 2)` of `anchors`.
        scales_xy: Likewise, a number a grid.
        sides: Likewise.
        beside: What else each box has, as `Beside.read` says it.
    """

    boxes: Literal["anchors", "center_exp", "distances", "distribution"]
    classes: Literal["sigmoid", "softmax"] = "sigmoid"
    anchors_px: tuple[tuple[tuple[float, float], ...], ...] = ()
    scales_xy: tuple[float, ...] = ()
    sides: Literal["exp", "square"] = "exp"
    beside: Any = None


@dataclass(frozen=True, slots=True)
class Answers:
    """What a tail answered, its rows in the order of the fields'.

    Attributes:
        flat: `(R, columns)`, for boxes of zeros.
        noisy: Likewise, for noise.
        noise: What that was, by part.
        names: The tensor that each column comes from.
    """

    flat: Values
    noisy: Values
    noise: dict[str, Values]
    names: list[str]

    def windows(self, width: int) -> Iterator[tuple[Values, Values]]:
        """Yield so many columns beside each other of one tensor: flat and noisy."""
        for start in range(len(self.names) - width + 1):
            if self.names[start] == self.names[start + width - 1]:
                columns = slice(start, start + width)
                yield self.flat[:, columns], self.noisy[:, columns]


@dataclass(frozen=True, slots=True)
class Beside:
    """What each box has beside its scores, and how it is told.

    Attributes:
        kind: Name of the part.
        fits: Whether so many channels of a box may be it.
        read: What it is by a tail's answers; `None` where these are not its.
    """

    kind: str
    fits: Callable[[int], bool]
    read: Callable[[Fields, Answers], Any]


def ask(fields: Fields, tail: Tail, path: Path) -> Answers | None:
    """Return a tail's answers; `None` where no column of them tells the rows apart.

    Raises:
        ModelError: LiteRT cannot invoke the tail.
    """
    ranked, noisy = tail.ask(fields.questions(), path)
    flat, names = table(fields, tail, ranked)
    rows = sum(fields.counts)
    unique = [number for number, column in enumerate(flat.T) if len(np.unique(column)) == rows]
    if not unique:
        return None
    order = np.argsort(flat[:, unique[0]])
    noise = {kind: value.astype(np.float64) for kind, value in fields.noise().items()}
    return Answers(flat[order], table(fields, tail, noisy)[0][order], noise, names)


def recognise(fields: Fields, answers: Answers) -> Decode | None:
    """Return the decode that gives these answers; `None` if none that is known does."""
    classes = _classes(answers)
    if classes is None:
        return None
    found = None
    if fields.anchors == 1:
        found = _anchor_free(fields, answers)
    if found is None and "objectness" in answers.noise and fields.bins == 1:
        found = _anchored(fields, answers)
    return None if found is None else replace(found, classes=classes)


def _classes(answers: Answers) -> Literal["sigmoid", "softmax"] | None:
    """Return the activation of the classes, by whatever the tail makes of them.

    Exporters write the probabilities, with or without the objectness in them, or leave them raw;
    in front of a suppression stands the best of each row.
    """
    raw = answers.noise["scores"]
    share = sigmoid(answers.noise["objectness"]) if "objectness" in answers.noise else 1.0
    for activation, values in (("sigmoid", sigmoid(raw)), ("softmax", softmax(raw))):
        for wanted in (values, values * share, raw if activation == "sigmoid" else values):
            for shown in (wanted, wanted.max(axis=1, keepdims=True)):
                windows = answers.windows(shown.shape[1])
                if any(np.allclose(noisy, shown, atol=TOLERANCE) for _, noisy in windows):
                    return activation  # type: ignore[return-value]
    return None


def _boxes(fields: Fields, answers: Answers) -> Iterator[tuple[Values, Values]]:
    """Yield what may be boxes, flat and noisy, as centre and sides in pixels.

    Columns that hang on scores are none: those differ between the two answers by more than boxes.
    """
    for flat, noisy in answers.windows(BOX_SIDES):
        for unit in (np.ones(BOX_SIDES), np.array(fields.input_wh * 2, np.float64)):
            yield flat * unit, noisy * unit  # cx, cy, w, h
            for low, high in (((0, 1), (2, 3)), ((1, 0), (3, 2))):  # xyxy and yxyx
                turned = unit[[*low, *high]]
                corners = flat * turned, noisy * turned
                yield tuple(
                    np.column_stack([(one[:, low] + one[:, high]) / 2, one[:, high] - one[:, low]])
                    for one in corners
                )  # type: ignore[misc]


def _anchored(fields: Fields, answers: Answers) -> Decode | None:
    """Read a decode with anchors: `scale * sigmoid(t) - (scale - 1) / 2`, sides times an anchor.

    At t = 0 a side is its anchor in either spelling, `e^t` (v2 to v4) and `(2 sigmoid(t))^2` (v5
    and v7). Source: `yolo_head` of qqwweee's keras-yolo3 and its ports, `decode` of hunglc007's
    tensorflow-yolov4-tflite (with grid sensitivity), `TFDetect` of the YOLOv5 repository's
    `models/tf.py`, `IDetect` of YOLOv7's `models/yolo.py`.
    """
    geometry = fields.geometry()
    raw = answers.noise["boxes"]
    share = sigmoid(raw[:, :2])
    for flat, noisy in _boxes(fields, answers):
        moved = noisy[:, :2] / geometry[:, 2:] - geometry[:, :2]
        scales = [float(np.polyfit(share[rows, 0], moved[rows, 0], 1)[0]) for rows in fields.slices]
        scale = np.repeat(scales, fields.counts)[:, None]
        if not _close(moved, scale * share - (scale - 1) / 2) or (flat[:, 2:] <= 0).any():
            continue
        anchors = _anchors(fields, flat[:, 2:])
        growths = {"exp": np.exp(raw[:, 2:]), "square": 4 * sigmoid(raw[:, 2:]) ** 2}
        for sides, growth in growths.items():
            if anchors is not None and _close(noisy[:, 2:], flat[:, 2:] * growth):
                factors = tuple(max(1.0, _short(scale)) for scale in scales)
                return Decode("anchors", anchors_px=anchors, scales_xy=factors, sides=sides)  # type: ignore[arg-type]
    return None


def _anchors(fields: Fields, sides: Values) -> tuple[tuple[tuple[float, float], ...], ...] | None:
    """Return the sides `(R, 2)` of the anchors of each grid, if all its cells have the same."""
    found = []
    for place in fields.slices:
        rows = sides[place].reshape(-1, fields.anchors, 2)
        if not _close(rows, np.broadcast_to(rows[0], rows.shape)):
            return None
        found.append(tuple((_short(width), _short(height)) for width, height in rows[0]))
    return tuple(found)


def _anchor_free(fields: Fields, answers: Answers) -> Decode | None:
    """Read a decode without anchors, from corners or centre and logarithms.

    Source: `Detect` of Ultralytics' `nn/modules/head.py` (v8 to v11; distributions), `Detect` of
    YOLOv6's `models/effidehead.py` (distances), `decode_outputs` of YOLOX's `models/yolo_head.py`.
    """
    geometry = fields.geometry()
    raw = answers.noise["boxes"]
    stride = geometry[:, 2:]
    if fields.bins > 1:
        means = softmax(raw.reshape(len(raw), BOX_SIDES, -1)) @ np.arange(fields.bins)
        wanted = {"distribution": _from_distances(geometry, means)}
    else:
        center = (geometry[:, :2] + raw[:, :2]) * stride
        wanted = {
            "center_exp": np.hstack([center, np.exp(raw[:, 2:]) * stride]),
            "distances": _from_distances(geometry, raw),
        }
        # YOLOX leaves its boxes as they are, `decode_in_inference` being off.
        if "objectness" in answers.noise and any(
            np.allclose(noisy, raw, atol=TOLERANCE) for _, noisy in answers.windows(BOX_SIDES)
        ):
            return Decode("center_exp")
    for _, noisy in _boxes(fields, answers):
        for kind, boxes in wanted.items():
            if _close(noisy, boxes):
                return Decode(kind)  # type: ignore[arg-type]
    return None


def _from_distances(geometry: Values, sides: Values) -> Values:
    """Return centre and sides of left, top, right, bottom from the cells' centres, in strides."""
    stride = geometry[:, 2:]
    center = geometry[:, :2] + 0.5 + (sides[:, 2:] - sides[:, :2]) / 2
    return np.hstack([center * stride, (sides[:, :2] + sides[:, 2:]) * stride])


def _close(found: Values, wanted: Values) -> bool:
    return bool(np.allclose(found, wanted, rtol=TOLERANCE, atol=TOLERANCE_PX))


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def sigmoid(values: Values) -> Values:
    """Return 1 / (1 + e^-x)."""
    return np.asarray(1 / (1 + np.exp(-values)))


def softmax(values: Values) -> Values:
    """Return the shares of the last axis."""
    grown = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=-1, keepdims=True))
