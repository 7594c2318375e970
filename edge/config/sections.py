"""Configuration: a TOML file and the command line's overrides → frozen, checked values.

Checking touches no network and opens no device.
"""

from __future__ import annotations

import contextlib
import re
import socket
import sys
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from edge.config.faults import sentence
from edge.errors import ConfigError
from edge.messages.envelope import NAME_PATTERN
from edge.model import delegates

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# IANA service names mqtt and secure-mqtt.
MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883}
# Sources whose location is a path.
ANCHORED_SCHEMES = ("file", "images")

Name = Annotated[str, Field(pattern=rf"^{NAME_PATTERN.pattern}$")]
Ratio = Annotated[float, Field(ge=0, le=1)]
Pixels = Annotated[int, Field(gt=0, le=16384)]


def host_name() -> str:
    """Return this machine's short name, in the characters that a topic may hold."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname().partition(".")[0])[:64] or "device"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Device(_Section):
    """This unit; its name is a level of every topic."""

    name: Name = Field(default_factory=host_name)


class Camera(_Section):
    """Where frames come from.

    Attributes:
        name: A level of every topic.
        source: `demo:`, `file:PATH`, `images:FOLDER` or `v4l2:DEVICE`.
        size_wh: Width and height to ask the source for, pixels; `None` takes its own.
        rate_hz: Frames a second to ask for; `None` takes the source's own.
        loop: Start a file again at its end.
        realtime: Give a file's frames at their own pace and drop what comes too late.
    """

    name: Name = "camera"
    source: str = "demo:"
    size_wh: tuple[Pixels, Pixels] | None = None
    rate_hz: Annotated[float, Field(gt=0, le=1000)] | None = None
    loop: bool = False
    realtime: bool | None = None


class Model(_Section):
    """Which model runs, and how.

    Attributes:
        file: A model made by edge-convert; `None` is the built-in COCO detector.
        threads: Of the interpreter; 0 leaves one core to capture and publishing.
        delegate: `cpu`, `edgetpu`, or `edgetpu:DEVICE`; nothing falls back to the CPU.
        score_threshold: In [0, 1]; `None` takes the model's own.
        iou_threshold: In [0, 1]; `None` takes the model's own.
        max_detections: Most detections of one frame.
    """

    file: Path | None = None
    threads: Annotated[int, Field(ge=0, le=64)] = 0
    score_threshold: Ratio | None = None
    iou_threshold: Ratio | None = None
    max_detections: Annotated[int, Field(gt=0, le=1000)] = 100
    delegate: str = delegates.CPU

    @field_validator("delegate")
    @classmethod
    def _check_delegate(cls, delegate: str) -> str:
        return delegates.parse(delegate).name


class Mqtt(_Section):
    """The broker.

    Attributes:
        url: `mqtt://[USER@]HOST[:PORT]`, or `mqtts://` for TLS.
        password_file: Holds the password on its first line; readable by its owner only.
        ca_file: Certificates to trust instead of the system's.
        qos: Quality of service of detections: 0 at most once, 1 at least once.
        keepalive_s: Longest silence before broker and device give each other up.
        outbox_messages: Messages kept while the broker is away; the oldest are dropped beyond.
    """

    url: str
    password_file: Path | None = None
    ca_file: Path | None = None
    qos: Literal[0, 1] = 1
    keepalive_s: Annotated[int, Field(ge=5, le=65535)] = 30
    outbox_messages: Annotated[int, Field(ge=1, le=1_000_000)] = 1000

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        parts = _split_url(url)
        if parts.scheme not in MQTT_PORTS or not parts.hostname:
            raise ValueError(f"expected mqtt://HOST or mqtts://HOST, found {url!r}")
        if parts.password is not None:
            raise ValueError(
                "a password in the URL can be read by everyone on this machine; "
                "write it to a file, chmod 600 it, and set password_file"
            )
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError(f"expected nothing behind the port, found {url!r}")
        return url

    @model_validator(mode="after")
    def _check_credentials(self) -> Mqtt:
        if self.password_file and not self.username:
            raise ValueError("password_file needs a user: write url = 'mqtt://USER@HOST'")
        if self.ca_file and not self.tls:
            raise ValueError("ca_file needs TLS: write url = 'mqtts://HOST'")
        return self

    @property
    def host(self) -> str:
        """Name or address of the broker."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """TCP port: the URL's, or the scheme's own."""
        parts = urlsplit(self.url)
        return parts.port or MQTT_PORTS[parts.scheme]

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return urlsplit(self.url).scheme == "mqtts"

    @property
    def username(self) -> str | None:
        """User of the broker, from the URL."""
        return urlsplit(self.url).username


class Output(_Section):
    """Where results go besides the broker.

    Attributes:
        jsonl: Write one JSON object a frame to stdout; `None` does so where there is no broker.
        class_map: A segmenter's messages hold the class map, not only the areas.
    """

    jsonl: bool | None = None
    class_map: bool = True


SECTIONS: dict[str, type[_Section]] = {
    "device": Device,
    "camera": Camera,
    "model": Model,
    "mqtt": Mqtt,
    "output": Output,
}


class Config(_Section):
    """Everything `edge run` needs to know."""

    device: Device = Field(default_factory=Device)
    camera: Camera = Field(default_factory=Camera)
    model: Model = Field(default_factory=Model)
    mqtt: Mqtt | None = None
    output: Output = Field(default_factory=Output)

    @model_validator(mode="after")
    def _check_results(self) -> Config:
        if self.mqtt is None and not self.writes_jsonl:
            raise ValueError("results go nowhere; add [mqtt] url, or leave [output] jsonl out")
        return self

    @property
    def writes_jsonl(self) -> bool:
        """Whether results go to stdout."""
        return self.mqtt is None if self.output.jsonl is None else self.output.jsonl


def load(path: Path | None, overrides: dict[str, dict[str, Any]]) -> Config:
    """Read a configuration and lay the command line's values over it.

    Paths in the file are relative to the file, those of the overrides to the working folder.

    Args:
        path: A TOML file, or `None` for the defaults.
        overrides: Section to key to value.

    Raises:
        ConfigError: All faults at once, one a line, each with its path.
    """
    fields = _read(path) if path else {}
    for section, values in overrides.items():
        target = fields.setdefault(section, {})
        if isinstance(target, dict):
            target.update(values)
    return parse(fields, where=f"{path}: " if path else "")


def parse(fields: dict[str, Any], *, where: str = "") -> Config:
    """Check a configuration that was read already.

    Args:
        fields: Section to key to value.
        where: Stands before each fault.

    Raises:
        ConfigError: All faults at once, one a line, each with its path.
    """
    try:
        return Config.model_validate(fields)
    except ValidationError as error:
        faults = [where + sentence(fault, SECTIONS) for fault in error.errors()]
        raise ConfigError("\n".join(faults)) from error


def load_sound_sections(path: Path) -> Config:
    """Read what is right of a faulty configuration; the rest keeps its defaults.

    Raises:
        ConfigError: It is not TOML at all.
    """
    sound: dict[str, _Section] = {}
    for name, values in _read(path).items():
        with contextlib.suppress(ValidationError):
            if name in SECTIONS:
                sound[name] = SECTIONS[name].model_validate(values)
    return Config.model_validate(sound)


def _read(path: Path) -> dict[str, Any]:
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; give the path of a TOML file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected a TOML file, cannot read it: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: expected TOML: {error}") from error
    _anchor_paths(fields, path.resolve().parent)
    return fields


def _anchor_paths(fields: dict[str, Any], folder: Path) -> None:
    for section, key in (("model", "file"), ("mqtt", "password_file"), ("mqtt", "ca_file")):
        values = fields.get(section)
        if isinstance(values, dict) and isinstance(values.get(key), str):
            values[key] = folder / values[key]
    camera = fields.get("camera")
    if isinstance(camera, dict):
        scheme, _, location = str(camera.get("source", "")).partition(":")
        if scheme in ANCHORED_SCHEMES and location:
            camera["source"] = f"{scheme}:{folder / location.removeprefix('//')}"


def _split_url(url: str) -> SplitResult:
    parts = urlsplit(url)
    try:
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"expected a port from 1 to 65535 in {url!r}") from error
    return parts
