"""Heads that are grids, drawn by hypothesis: contract, raw outputs, and how to compare decoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import factories
import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from edge.decode.anchor_free import AnchorFreeGrid, AnchorFreeHead
from edge.decode.centroids import CentroidsHead
from edge.decode.decoded import DecodedHead
from edge.decode.detections import DetectionsHead
from edge.decode.yolo import YoloGrid, YoloHead
from edge.model.quant import Quant
from edge.model.spec import ModelSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from reference.float_heads import Candidate

    from edge.decode.anchor_free import AnchorFreeDecoder
    from edge.decode.yolo import YoloDecoder
    from edge.model.description import HeadSchema

    Decoder = AnchorFreeDecoder | YoloDecoder

DTYPES = ("int8", "uint8", "int16", "float16", "float32")
DAMAGE = (np.nan, np.inf, -np.inf, 1e30, -1e30)
# More than any drawn head gives, those included whose box is not a number.
MAX_CANDIDATES = 5000
# A score nearer to the threshold than this may fall on either side of it.
TIE = 2e-6


class Drawn(NamedTuple):
    """One model's contract with the raw outputs of one frame."""

    spec: ModelSpec
    heads: dict[str, NDArray[Any]]


def spec_of(
    head: HeadSchema,
    shapes: dict[str, tuple[int, ...]],
    *,
    classes: int,
    input_wh: tuple[int, int],
    **described: Any,
) -> ModelSpec:
    """Return the contract of a model with this head; `described` are of all its outputs."""
    return ModelSpec(
        factories.manifest(
            head=head,
            outputs={role: role for role in shapes},
            labels=tuple(f"class {number}" for number in range(classes)),
            input=factories.input_transform(size_wh=input_wh),
        ).description(None),
        factories.tensor("image", (1, input_wh[1], input_wh[0], 3)),
        {role: factories.tensor(role, shape, **described) for role, shape in shapes.items()},
    )


def random_heads(
    spec: ModelSpec, rng: np.random.Generator, *, damage: float = 0
) -> dict[str, NDArray[Any]]:
    """Return outputs all over an integer dtype, or about ±6 of a float, a share of it damaged."""
    return {role: _random(tensor, rng, damage) for role, tensor in spec.outputs.items()}


def _random(tensor: Any, rng: np.random.Generator, damage: float) -> NDArray[Any]:
    if tensor.dtype.kind != "f":
        info = np.iinfo(tensor.dtype)
        return rng.integers(info.min, info.max, tensor.shape, tensor.dtype, endpoint=True)
    values = rng.normal(0, 3, tensor.shape)
    is_damaged = rng.random(tensor.shape) < damage
    values[is_damaged] = rng.choice(DAMAGE, int(is_damaged.sum()))
    with np.errstate(over="ignore"):
        return values.astype(tensor.dtype)


@st.composite
def yolo(draw: st.DrawFn) -> Drawn:
    """Draw a YOLO head of one to three grids, in three roles each or in one."""
    classes = draw(st.integers(1, 4))
    input_wh = draw(st.sampled_from([(32, 32), (40, 24), (416, 320)]))
    grids, shapes = [], {}
    for number in range(draw(st.integers(1, 3))):
        side = st.integers(1, 4)
        cells, anchors = (1, draw(side), draw(side)), draw(st.integers(1, 3))
        if draw(st.booleans()):
            roles = {"boxes": f"g{number}", "objectness": f"g{number}", "scores": f"g{number}"}
            shapes[f"g{number}"] = (*cells, anchors * (5 + classes))
        else:
            roles = {name: f"{name}{number}" for name in ("boxes", "objectness", "scores")}
            widths = (anchors * 4, anchors, anchors * classes)
            shapes |= {
                role: (*cells, width) for role, width in zip(roles.values(), widths, strict=True)
            }
        sides_px = st.floats(1, 300)
        anchors_px = tuple((draw(sides_px), draw(sides_px)) for _ in range(anchors))
        scale = draw(st.sampled_from([1.0, 1.05, 1.2, 2.0]))
        grids.append(YoloGrid(**roles, anchors_px=anchors_px, scale_xy=scale))
    head = YoloHead(
        grids=tuple(grids),
        sides=draw(st.sampled_from(["exp", "square"])),
        classes=draw(st.sampled_from(["sigmoid", "softmax"])),
    )
    return _drawn(draw, head, shapes, classes=classes, input_wh=input_wh)


@st.composite
def anchor_free(draw: st.DrawFn) -> Drawn:
    """Draw an anchor-free head of one to three grids, with or without objectness."""
    classes = draw(st.integers(1, 4))
    input_wh = draw(st.sampled_from([(32, 32), (64, 32)]))
    boxes = draw(st.sampled_from(["center_exp", "distances", "distribution"]))
    bins = draw(st.integers(2, 5)) if boxes == "distribution" else 1
    has_objectness = draw(st.booleans())
    grids, shapes = [], {}
    for number, stride_px in enumerate(draw(st.sampled_from([(8,), (16, 32), (8, 16, 32)]))):
        cells = (1, input_wh[1] // stride_px, input_wh[0] // stride_px)
        shapes |= {f"boxes{number}": (*cells, 4 * bins), f"scores{number}": (*cells, classes)}
        if has_objectness:
            shapes[f"objectness{number}"] = (*cells, 1)
        grids.append(
            AnchorFreeGrid(
                boxes=f"boxes{number}",
                scores=f"scores{number}",
                objectness=f"objectness{number}" if has_objectness else None,
                stride_px=stride_px,
            )
        )
    head = AnchorFreeHead(grids=tuple(grids), boxes=boxes, bins=bins)
    return _drawn(draw, head, shapes, classes=classes, input_wh=input_wh)


@st.composite
def detections(draw: st.DrawFn) -> Drawn:
    """Draw ready detections, in rows of six or in outputs of their own, with or without count."""
    classes, rows = draw(st.integers(1, 4)), draw(st.integers(2, 12))
    head = DetectionsHead(
        boxes=draw(st.sampled_from(["xyxy", "yxyx", "cxcywh"])),
        units=draw(st.sampled_from(["pixels", "ratios"])),
        first_class=draw(st.integers(0, 1)),
    )
    shapes: dict[str, tuple[int, ...]] = {"rows": (1, rows, 6)}
    if draw(st.booleans()):
        shapes = {"boxes": (1, rows, 4), "scores": (1, rows), "classes": (1, rows)}
    if draw(st.booleans()):
        shapes["count"] = (1,)
    drawn = _drawn(draw, head, shapes, classes=classes, input_wh=(40, 24))
    for role in {"classes", "count"} & shapes.keys():
        dtype = draw(st.sampled_from([None, "int32", "int64"]))
        if dtype is not None:
            described = factories.tensor(role, shapes[role], dtype=np.dtype(dtype), quant=Quant())
            drawn.spec.outputs[role] = described
            numbers = np.random.default_rng(rows).integers(-1, classes + 2, shapes[role])
            drawn.heads[role] = numbers.astype(dtype)
    return drawn


@st.composite
def decoded(draw: st.DrawFn) -> Drawn:
    """Draw decoded boxes, in one output or two, as rows or as columns."""
    classes, objectness = draw(st.integers(1, 4)), draw(st.booleans())
    input_wh, strides_px, rows = (32, 16), (), draw(st.integers(1, 40))
    boxes = draw(st.sampled_from(["xyxy", "yxyx", "cxcywh", "center_exp"]))
    if boxes == "center_exp":
        strides_px, rows = draw(st.sampled_from([((8,), 8), ((8, 16), 10)]))
    head = DecodedHead(
        boxes=boxes,
        strides_px=strides_px,
        units=draw(st.sampled_from(["pixels", "ratios"])),
        objectness=objectness,
        activation=draw(st.sampled_from(["none", "sigmoid"])),
    )
    widths = {"rows": 4 + objectness + classes}
    if draw(st.booleans()):
        widths = {"boxes": 4, "scores": objectness + classes}
    assume(rows not in widths.values())
    shapes = {
        role: (1, rows, width) if draw(st.booleans()) else (1, width, rows)
        for role, width in widths.items()
    }
    return _drawn(draw, head, shapes, classes=classes, input_wh=input_wh)


@st.composite
def centroids(draw: st.DrawFn) -> Drawn:
    """Draw a coarse map of one to three classes."""
    classes, background = draw(st.integers(1, 3)), draw(st.booleans())
    side = st.integers(1, 7)
    head = CentroidsHead(
        background=background, activation=draw(st.sampled_from(["none", "sigmoid"]))
    )
    shapes = {"cells": (1, draw(side), draw(side), classes + background)}
    return _drawn(draw, head, shapes, classes=classes, input_wh=(64, 40))


def _drawn(
    draw: st.DrawFn,
    head: HeadSchema,
    shapes: dict[str, tuple[int, ...]],
    *,
    classes: int,
    input_wh: tuple[int, int],
) -> Drawn:
    spec = spec_of(head, shapes, classes=classes, input_wh=input_wh)
    same = draw(st.one_of(st.none(), st.sampled_from(DTYPES)))  # or each output has its own
    for role, tensor in spec.outputs.items():
        dtype = np.dtype(same or draw(st.sampled_from(DTYPES)))
        quant = Quant()
        if dtype.kind != "f":
            info = np.iinfo(dtype)
            steps = 2 ** (8 * dtype.itemsize)
            scale = float(np.float32(draw(st.floats(0.5, 60)) / steps))
            quant = Quant(scale, draw(st.integers(info.min, info.max)))
        spec.outputs[role] = factories.tensor(role, tensor.shape, dtype=dtype, quant=quant)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    damage = draw(st.sampled_from([0, 0, 0.02]))
    return Drawn(spec, random_heads(spec, rng, damage=damage))


def result(
    decoder: Decoder, heads: dict[str, NDArray[Any]]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    """Return copies of what a decoder finds: boxes, scores, class ids."""
    count = decoder.find(heads)
    found = decoder.candidates
    return found.boxes[:count].copy(), found.scores[:count].copy(), found.class_ids[:count].copy()


def is_tied(every: list[Candidate], score_threshold: float) -> bool:
    """Tell whether a score stands so near to the threshold that its last bit decides."""
    return score_threshold > 0 and any(abs(each.score - score_threshold) < TIE for each in every)


def assert_finds(
    decoder: Decoder, heads: dict[str, NDArray[Any]], expected: list[Candidate]
) -> None:
    """Compare candidate by candidate with those of a reference."""
    boxes, scores, class_ids = result(decoder, heads)
    np.testing.assert_array_equal(class_ids, [each.class_id for each in expected])
    np.testing.assert_allclose(scores, [each.score for each in expected], rtol=1e-5, atol=1e-36)
    expected_boxes = np.array([each.box_xyxy for each in expected]).reshape(-1, 4)
    np.testing.assert_allclose(boxes, expected_boxes, rtol=1e-5, atol=1e-3)


def heads_of_bytes(spec: ModelSpec, data: bytes) -> dict[str, NDArray[Any]]:
    """Return outputs that repeat these bytes."""
    return {
        role: np.resize(np.frombuffer(data, np.uint8), tensor.dtype.itemsize * _size(tensor))
        .view(tensor.dtype)
        .reshape(tensor.shape)
        for role, tensor in spec.outputs.items()
    }


def _size(tensor: Any) -> int:
    return int(np.prod(tensor.shape))


def assert_sound(
    spec: ModelSpec,
    boxes: NDArray[np.float32],
    *,
    scores: NDArray[np.float32],
    class_ids: NDArray[np.int32],
) -> None:
    """Check that boxes and their areas are finite, scores ratios, and class ids labels."""
    assert np.isfinite(boxes).all()
    assert np.isfinite((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).all()
    assert ((scores >= 0) & (scores <= 1)).all()
    assert ((class_ids >= 0) & (class_ids < len(spec.description.labels))).all()
