"""`edge demo`: the whole job on one machine, with a broker and a subscriber of its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge import app, running
from edge.capture.synthetic import DEFAULT_SIZE_WH, FRAMES_PER_SCENE, SCENES, Scenes
from edge.config import reading as config
from edge.config.mqtt import Mqtt
from edge.demo import broker
from edge.demo.subscriber import Subscriber
from edge.draw.jpeg import encode_jpeg
from edge.errors import SinkError
from edge.publisher import open_encoder
from edge.tasks import TASKS
from edge.terminal import table

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.frame import Summary

ARRIVAL_TIMEOUT_S = 10.0
# Of the annotated image: one panel a scene, side by side.
PANEL_WH = (640, 360)


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
        with Subscriber(mqtt, topic, show=_show) as subscriber:
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


def _show(line: str) -> None:
    print(line, flush=True)
