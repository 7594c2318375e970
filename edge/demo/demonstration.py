"""`edge demo`: the whole job on one machine, with a broker and a subscriber of its own."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge import app, running
from edge.capture.synthetic import DEFAULT_SIZE_WH, FRAMES_PER_SCENE, SCENES, Scenes
from edge.config import reading as config
from edge.config.mqtt import Mqtt
from edge.demo import broker
from edge.draw.jpeg import encode_jpeg
from edge.errors import SinkError
from edge.publisher import open_encoder
from edge.sinks.mqtt_reader import MqttReader
from edge.tasks import TASKS
from edge.terminal import table
from edge.watching import Lines

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from typing_extensions import Self

    from edge.frame import Summary

CONNECT_TIMEOUT_S = 10.0
ARRIVAL_TIMEOUT_S = 10.0
# Of the annotated image: one panel a scene, side by side.
PANEL_WH = (640, 360)


class Subscriber:
    """Counts a camera's messages, and prints one whenever the labels that it saw change.

    Args:
        settings: Of the broker.
        topic: Of the camera.

    Raises:
        SinkError: The broker gave no answer.
    """

    def __init__(self, settings: Mqtt, topic: str) -> None:
        self.count = 0
        self._arrived = threading.Condition()
        self._reader = MqttReader(settings, [topic])
        self._thread = threading.Thread(target=self._run, name="edge-subscriber", daemon=True)
        self._thread.start()
        if not self._reader.subscribed.wait(CONNECT_TIMEOUT_S):
            raise SinkError(
                f"the broker at {settings.address} did not answer within "
                f"{CONNECT_TIMEOUT_S:g} s; try again"
            )

    def wait(self, count: int, *, timeout_s: float) -> bool:
        """Wait until so many messages have arrived; return whether they have."""
        with self._arrived:
            return self._arrived.wait_for(lambda: self.count >= count, timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.stop()
        self._thread.join(CONNECT_TIMEOUT_S)

    def _run(self) -> None:
        lines = Lines(hold_s=0)
        # Whoever waits for messages is told that there are none.
        with contextlib.suppress(SinkError):
            for topic, payload in self._reader.messages():
                if line := lines.line(topic, payload):
                    print(line, flush=True)
                with self._arrived:
                    self.count += 1
                    self._arrived.notify_all()


def run(*, frames: int, output: Path, model: Path | None = None) -> str:
    """Run a model on the built-in source, publish, print what a subscriber receives, and draw.

    Args:
        frames: How many to process.
        output: Where the annotated image goes.
        model: Made by edge-convert; `None` is the built-in detector.

    Returns:
        The figures, as text for a terminal.

    Raises:
        EdgeError: A part failed, or not every message arrived.
    """
    with broker.running() as port:
        # The little broker speaks nothing newer, and is silent to who does.
        mqtt = Mqtt(f"mqtt://{broker.LOOPBACK}:{port}", protocol="3.1.1")
        settings = config.parse(
            {
                "device": {"name": "demo"},
                "camera": {"source": "demo:", "realtime": False},
                "model": {"file": model},
                "mqtt": mqtt,
            }
        )
        file = app.model_file(settings)
        topic = open_encoder(settings, file.description).topic(settings.cameras[0].name)
        print(f"broker on {broker.LOOPBACK}:{port}; subscribed to {topic}", flush=True)
        with Subscriber(mqtt, topic) as subscriber:
            summary = running.run(settings, file, max_frames=frames)
            if not subscriber.wait(summary.frames, timeout_s=ARRIVAL_TIMEOUT_S):
                raise SinkError(
                    f"{summary.frames} messages were published, {subscriber.count} arrived within "
                    f"{ARRIVAL_TIMEOUT_S:g} s; try again on a machine with less to do"
                )
    write_image(output, draw(model))
    return f"\n{figures(summary)}\n{subscriber.count} messages arrived; see {output}"


def figures(summary: Summary) -> str:
    """Return a run's figures as a table and a line."""
    rows = [
        [name, *(f"{value:.2f}" for value in values)]
        for name, values in summary.percentiles_ms.items()
    ]
    return (
        f"{table.render(['stage', 'p50 ms', 'p95 ms', 'p99 ms'], rows)}\n\n"
        f"{summary.frames} frames in {summary.elapsed_s:.2f} s: {summary.rate_hz:.1f} frames/s, "
        f"invoke share {summary.invoke_ratio:.1%}, {summary.seen}"
    )


def draw(file: Path | None = None) -> NDArray[np.uint8]:
    """Return the middle frame of each scene, annotated, side by side: `(H, W, 3)` uint8."""
    settings = config.load(None, {"model": {"file": file}})
    model = app.open_model(settings, app.model_file(settings), threads=1)
    panels = []
    for image in scene_frames():
        TASKS[model.task].draw_inplace(image, model(image), model.description)
        panels.append(cv2.resize(image, PANEL_WH, interpolation=cv2.INTER_AREA))
    return np.hstack(panels)


def scene_frames() -> list[NDArray[np.uint8]]:
    """Return the middle frame of each built-in scene."""
    width, height = DEFAULT_SIZE_WH
    frames = []
    scenes = Scenes()
    for scene in range(len(SCENES)):
        image = np.empty((height, width, 3), np.uint8)
        scenes.render(scene * FRAMES_PER_SCENE + FRAMES_PER_SCENE // 2, out=image)
        frames.append(image)
    return frames


def write_image(path: Path, image: NDArray[np.uint8]) -> None:
    """Write a JPEG whole or not at all.

    Raises:
        SinkError: The disk is full, or the folder is missing or not writable.
    """
    data = encode_jpeg(image)
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise SinkError(
            f"{path}: the annotated image cannot be written: {os.strerror(error.errno or 0)}; "
            "make room, or name another place with: edge demo -o FILE"
        ) from error
