"""The configuration: frozen, checked values of each section."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator, model_validator

from edge.config.camera import Camera
from edge.config.mqtt import Mqtt
from edge.config.section import Name, Ratio, Section
from edge.model import delegates


def host_name() -> str:
    """Return this machine's short name, in the characters that a topic may hold."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname().partition(".")[0])[:64] or "device"


class Device(Section):
    """This unit; its name is a level of every topic."""

    name: Name = Field(default_factory=host_name)


class Model(Section):
    """Which model runs, and how.

    Attributes:
        file: A model made by edge-convert; `None` is the built-in COCO detector.
        description: A TOML that describes `file`, which may then come from anywhere.
        threads: Of the interpreter; 0 leaves one core to capture and publishing.
        delegate: `cpu`, `edgetpu`, or `edgetpu:DEVICE`; nothing falls back to the CPU.
        score_threshold: In [0, 1]; `None` takes the model's own.
        iou_threshold: In [0, 1]; `None` takes the model's own.
        max_detections: Most detections of one frame; `None` takes 100.
    """

    file: Path | None = None
    description: Path | None = None
    threads: Annotated[int, Field(ge=0, le=64)] = 0
    score_threshold: Ratio | None = None
    iou_threshold: Ratio | None = None
    max_detections: Annotated[int, Field(gt=0, le=1000)] | None = None
    delegate: str = delegates.CPU

    @model_validator(mode="after")
    def _check_description(self) -> Model:
        if self.description and not self.file:
            raise ValueError("description needs a model: write file = 'MODEL.tflite' beside it")
        return self

    @field_validator("delegate")
    @classmethod
    def _check_delegate(cls, delegate: str) -> str:
        return delegates.parse(delegate).name


class Output(Section):
    """Where results go besides the broker.

    Attributes:
        jsonl: Write one JSON object a frame to stdout; `None` does so where there is no broker.
        class_map: A segmenter's messages hold the class map, not only the areas.
    """

    jsonl: bool | None = None
    class_map: bool = True


SECTIONS: dict[str, type[Section]] = {
    "device": Device,
    "camera": Camera,
    "model": Model,
    "mqtt": Mqtt,
    "output": Output,
}


def _as_list(cameras: object) -> object:
    """Return one table `[camera]` as the only one of `[[camera]]`."""
    return [cameras] if isinstance(cameras, (dict, Camera)) else cameras


class Config(Section):
    """Everything `edge run` needs to know; `cameras` are `[camera]`, or each `[[camera]]`."""

    device: Device = Field(default_factory=Device)
    cameras: Annotated[tuple[Camera, ...], BeforeValidator(_as_list), Field(min_length=1)] = Field(
        default=(Camera(),), alias="camera"
    )
    model: Model = Field(default_factory=Model)
    mqtt: Mqtt | None = None
    output: Output = Field(default_factory=Output)

    @field_validator("cameras")
    @classmethod
    def _check_cameras(cls, cameras: tuple[Camera, ...]) -> tuple[Camera, ...]:
        names = [camera.name for camera in cameras]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(
                f"two cameras are named {twice!r}, and their results would share a topic; "
                "give each [[camera]] a name of its own"
            )
        return cameras

    @model_validator(mode="after")
    def _check_results(self) -> Config:
        if self.mqtt is None and not self.writes_jsonl:
            raise ValueError("results go nowhere; add [mqtt] url, or leave [output] jsonl out")
        return self

    @property
    def writes_jsonl(self) -> bool:
        """Whether results go to stdout."""
        return self.mqtt is None if self.output.jsonl is None else self.output.jsonl
