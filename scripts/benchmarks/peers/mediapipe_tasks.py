"""MediaPipe Tasks' ObjectDetector, in its modes `VIDEO` and `LIVE_STREAM`.

It refuses a file without metadata; so `decoded.tflite` gets the least it takes, here, where
MediaPipe's own schema is installed.
"""

from __future__ import annotations

import io
import sys
import threading
import time
import zipfile
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import cv2
import flatbuffers
import line
import mediapipe
import plain
from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata
from mediapipe.tasks.metadata import schema_py_generated as schema
from mediapipe.tasks.python import BaseOptions, vision

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    Array = np.ndarray[Any, Any]

LABELS = "labels.txt"
IN_FLIGHT = 2  # one at work, one waiting: more are dropped, fewer leave it idle
RESULT_TIMEOUT_S = 10
VERSIONS = f"mediapipe {version('mediapipe')}, OpenCV {cv2.__version__}"


def with_metadata(model: bytes, label_texts: list[str]) -> bytes:
    """Return a detector with metadata of its input, its four outputs and its labels."""
    parts = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    entry = schema.MetadataT()
    entry.name, entry.buffer = b"TFLITE_METADATA", len(parts.buffers)
    buffer = schema.BufferT()
    buffer.data = _described()
    parts.buffers.append(buffer)
    parts.metadata = [*(parts.metadata or []), entry]
    builder = flatbuffers.Builder(len(model))
    builder.Finish(parts.Pack(builder), b"TFL3")
    # The labels' file is looked for in a zip behind the model.
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr(LABELS, "\n".join(text or "???" for text in label_texts))
    return bytes(builder.Output()) + archive.getvalue()


def _described() -> bytes:
    image = _tensor("image", metadata.ContentProperties.ImageProperties, _rgb())
    graph = metadata.SubGraphMetadataT()
    graph.inputTensorMetadata = [image]
    graph.outputTensorMetadata = [
        _tensor("location", metadata.ContentProperties.BoundingBoxProperties, _boxes()),
        _tensor("category", *_feature()),
        _tensor("score", *_feature()),
        _tensor("number of detections", *_feature()),
    ]
    file = metadata.AssociatedFileT()
    file.name, file.type = LABELS, metadata.AssociatedFileType.TENSOR_VALUE_LABELS
    graph.outputTensorMetadata[1].associatedFiles = [file]
    model = metadata.ModelMetadataT()
    model.name, model.subgraphMetadata = "detector", [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"M001")
    return bytes(builder.Output())


def _tensor(name: str, kind: int, properties: Any) -> Any:  # noqa: ANN401 - generated, untyped
    content = metadata.ContentT()
    content.contentPropertiesType, content.contentProperties = kind, properties
    tensor = metadata.TensorMetadataT()
    tensor.name, tensor.content = name, content
    return tensor


def _rgb() -> Any:  # noqa: ANN401
    properties = metadata.ImagePropertiesT()
    properties.colorSpace = metadata.ColorSpaceType.RGB
    return properties


def _boxes() -> Any:  # noqa: ANN401
    properties = metadata.BoundingBoxPropertiesT()
    properties.index = [1, 0, 3, 2]  # of left, top, right, bottom, in (y, x, y, x)
    properties.type = metadata.BoundingBoxType.BOUNDARIES
    properties.coordinateType = metadata.CoordinateType.RATIO
    return properties


def _feature() -> tuple[int, Any]:
    return metadata.ContentProperties.FeatureProperties, metadata.FeaturePropertiesT()


def open_peer(folder: Path, variant: str) -> line.Peer:
    """Return a detector in one of its running modes."""
    stages = plain.Plain(folder)
    model = with_metadata((folder / "decoded.tflite").read_bytes(), stages.label_texts)
    options: dict[str, Any] = {
        "base_options": BaseOptions(model_asset_buffer=model),
        "running_mode": vision.RunningMode[variant],
        "score_threshold": stages.score_threshold,
    }
    return Live(folder, options) if variant == "LIVE_STREAM" else _video(folder, options)


def _video(folder: Path, options: dict[str, Any]) -> line.Loop:
    detector = vision.ObjectDetector.create_from_options(vision.ObjectDetectorOptions(**options))
    clock = Clock()

    def detect(image: Array) -> list[str]:
        return _labels(detector.detect_for_video(_image(image), clock.next_ms()))

    return line.Loop(folder, VERSIONS, detect)


class Live:
    """Frames go in without waiting for their results, `IN_FLIGHT` at most."""

    versions = VERSIONS

    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        self._frames = line.Frames(folder / "clip.mp4")
        self._clock = Clock()
        self._room = threading.Semaphore(IN_FLIGHT)
        self._found: list[str] = []
        self._detector = vision.ObjectDetector.create_from_options(
            vision.ObjectDetectorOptions(**options, result_callback=self._take)
        )

    def _take(self, result: Any, *_: object) -> None:  # noqa: ANN401
        self._found.extend(_labels(result))
        self._room.release()

    def _send(self, image: Array) -> None:
        self._wait()
        self._detector.detect_async(_image(image), self._clock.next_ms())

    def _wait(self) -> None:
        if not self._room.acquire(timeout=RESULT_TIMEOUT_S):
            raise TimeoutError(f"no result within {RESULT_TIMEOUT_S} s")

    def _settle(self) -> None:
        for _ in range(IN_FLIGHT):
            self._wait()
        self._room.release(IN_FLIGHT)

    def run(self, source: str, *, lead: int, frames: int) -> line.Window:
        """See `line.Peer.run`."""
        images = self._frames.of(source)
        for _ in range(lead):
            self._send(next(images))
        # The clock starts with one frame in flight and stops with none: as many results as frames.
        self._wait()
        self._room.release()
        self._found.clear()
        started_s, cpu_s = time.perf_counter(), time.process_time()
        for _ in range(frames):
            self._send(next(images))
        self._settle()
        return line.Window(
            frames,
            time.perf_counter() - started_s,
            time.process_time() - cpu_s,
            len(self._found),
        )

    def labels(self, image: Array) -> list[str]:
        """See `line.Peer.labels`."""
        self._settle()
        self._found.clear()
        self._send(image)
        self._settle()
        return list(self._found)


class Clock:
    """Timestamps, each later than the one before, as MediaPipe wants them."""

    def __init__(self) -> None:
        self._last_ms = 0

    def next_ms(self) -> int:
        """Return the next."""
        self._last_ms = max(self._last_ms + 1, time.monotonic_ns() // 1_000_000)
        return self._last_ms


def _image(image: Array) -> Any:  # noqa: ANN401
    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=rgb)


def _labels(result: Any) -> list[str]:  # noqa: ANN401
    return [detection.categories[0].category_name for detection in result.detections]


if __name__ == "__main__":
    sys.exit(line.serve(open_peer))
