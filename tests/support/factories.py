"""Values that tests start from: valid as they stand, changed by keyword for the test's own case."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.decode.segmentation import SegmentationHead
from edge.decode.ssd import SsdHead
from edge.messages import detections as detections_message
from edge.messages import segmentation as segmentation_message
from edge.messages.envelope import Encoder, Message
from edge.model.description import InputTransform, Thresholds
from edge.model.model_file import ModelFile
from edge.model.quant import Quant
from edge.model.readers.manifest import Manifest, Provenance
from edge.model.spec import ModelSpec, TensorSpec
from edge.results.class_map import ClassMap
from edge.results.detections import Detections
from edge.results.observation import STAGES, Observation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LABELS = ("person", "", "cat")
ANCHOR_COUNT = 6
INPUT_WH = (20, 12)
MAP_AXES = 3  # (1, H, W)
# Not a model that runs: it has what tells a TensorFlow Lite file, and enough bytes to damage.
FLATBUFFER = b"\x1c\0\0\0TFL3" + bytes(range(256)) * 4


def input_transform(**changes: Any) -> InputTransform:
    """Return the transform of a letterboxed RGB input of `INPUT_WH`, x / 255."""
    fields: dict[str, Any] = {
        "size_wh": INPUT_WH,
        "color": "rgb",
        "mean": (0.0, 0.0, 0.0),
        "std": (255.0, 255.0, 255.0),
        "resize": "letterbox",
    }
    return InputTransform(**fields | changes)


def manifest(**changes: Any) -> Manifest:
    """Return the manifest of a three-class SSD detector with a background column."""
    fields: dict[str, Any] = {
        "name": "tiny",
        "input": input_transform(),
        "outputs": {"boxes": "raw_boxes", "scores": "raw_scores"},
        "head": SsdHead(),
        "labels": LABELS,
        "provenance": Provenance(
            source="made by a test", license="CC0", changes="none", recipe="none", seed=0, tools={}
        ),
    }
    return Manifest(**fields | changes)


def anchors(count: int = ANCHOR_COUNT) -> NDArray[np.float32]:
    """Return `(count, 4)` float32 anchors, normalised centre-size, all different."""
    return np.random.default_rng(1).uniform(0.1, 0.9, (count, 4)).astype(np.float32)


def model_file(**changes: Any) -> ModelFile:
    """Return a model file as `manifest.read` would, of bytes that no runtime can load."""
    fields: dict[str, Any] = {
        "path": Path("tiny.tflite"),
        "flatbuffer": FLATBUFFER,
        "manifest": manifest(),
        "anchors": anchors(),
    }
    return ModelFile.of(**fields | changes)


def tensor(name: str, shape: tuple[int, ...], **changes: Any) -> TensorSpec:
    """Return one int8 tensor's description."""
    fields: dict[str, Any] = {
        "index": 0,
        "dtype": np.dtype(np.int8),
        "quant": Quant(1 / 255, -128),
    }
    return TensorSpec(name=name, shape=shape, **fields | changes)


def ssd_spec(*, boxes: TensorSpec, scores: TensorSpec, **changes: Any) -> ModelSpec:
    """Return the contract of a detector with these heads; `changes` are of its manifest.

    It has as many labels as the scores leave room for, and random anchors unless some are given.
    """
    anchor_count, columns = scores.shape[1:]
    given = changes.pop("anchors", None)
    head = changes.setdefault("head", SsdHead())
    labels = tuple(f"class {number}" for number in range(columns - head.background))
    described = manifest(**{"labels": labels} | changes)
    width, height = described.input.size_wh
    return ModelSpec(
        described.description(anchors(anchor_count) if given is None else given),
        tensor("image", (1, height, width, 3)),
        {"boxes": boxes, "scores": scores},
    )


def segmentation_spec(output: TensorSpec, **changes: Any) -> ModelSpec:
    """Return the contract of a segmenter with this output; `changes` are of its manifest.

    It has as many labels as the output has channels, and two where it has one.
    """
    classes = max(2, output.shape[3]) if len(output.shape) > MAP_AXES else 2
    fields: dict[str, Any] = {
        "head": SegmentationHead(activation="softmax"),
        "labels": tuple(f"class {number}" for number in range(classes)),
        "outputs": {"classes": output.name},
    }
    described = manifest(**fields | changes)
    width, height = described.input.size_wh
    image = tensor("image", (1, height, width, 3))
    return ModelSpec(described.description(None), image, {"classes": output})


def class_map(*, width: int = 8, height: int = 4, classes: int = len(LABELS)) -> ClassMap:
    """Return a map of random classes over a 1280 x 720 frame."""
    random = np.random.default_rng(3)
    return ClassMap(random.integers(0, classes, (height, width), np.uint8), (1280, 720))


def detections(count: int) -> Detections:
    """Return that many detections in a 1280 x 720 frame, all different, by falling score."""
    random = np.random.default_rng(2)
    corners = random.uniform(0, 300, (count, 2))
    boxes = np.hstack([corners, corners + random.uniform(1, 300, (count, 2))])
    return Detections(
        boxes=boxes.astype(np.float32),
        scores=np.linspace(0.9, 0.5, count, dtype=np.float32),
        class_ids=np.arange(count, dtype=np.int32) % len(LABELS),
    )


def observation(sequence: int = 0, **changes: Any) -> Observation:
    """Return what was seen on one 1280 x 720 frame: nothing, unless told."""
    fields: dict[str, Any] = {
        "camera": "front",
        "captured_utc_ns": 1_700_000_000_123_456_789,
        "source_ns": 0,
        "size_wh": (1280, 720),
        "result": Detections.none(),
        "stage_ms": dict.fromkeys(STAGES, 1.5),
        "age_ms": 9.87654,
        "dropped_frames": 3,
    }
    return Observation(sequence=sequence, **fields | changes)


IDENTITY = ("porch", {"name": "tiny", "digest": "sha256:0"})


def segmentation_encoder(labels: Sequence[str] = LABELS, **options: Any) -> Encoder:
    """Return the encoder of the device `porch`, for a segmenter."""
    fields = segmentation_message.fields(labels, **options)
    return Encoder(*IDENTITY, segmentation_message.TOPIC, fields)


def encoder(labels: Sequence[str] = LABELS) -> Encoder:
    """Return the encoder of the device `porch`, for a detector."""
    return Encoder(*IDENTITY, detections_message.TOPIC, detections_message.fields(labels))


def message(sequence: int = 0, **changes: Any) -> Message:
    """Return the message of an observation without detections, as the pipeline sends it."""
    payload = encoder().encode(observation(sequence))
    return Message(**{"topic": "edge/porch/front/detections", "payload": payload} | changes)


def thresholds(score: float, *, candidates: int = 256) -> Thresholds:
    """Return thresholds of which only the score and the number of candidates matter."""
    return Thresholds(score, 0.6, max_candidates=candidates)
