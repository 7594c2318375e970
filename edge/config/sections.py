"""The configuration: frozen, checked values of each section."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Annotated, ClassVar

from msgspec import Meta, field

from edge.config.camera import Camera, Name
from edge.config.homeassistant import HomeAssistant
from edge.config.mqtt import Mqtt
from edge.config.selfcheck import Harvest, Selfcheck
from edge.config.sink import AnySink, Jsonl
from edge.config.toml import table_label
from edge.config.web import Web
from edge.config.zone import Events, Filter, Line, Mask, Place, Zone, check_places
from edge.model import delegates
from edge.model.description import Suppression
from edge.record import Checks, PositiveFloat, Ratio, Record, Text

SidePx = Annotated[int, Meta(ge=64, le=4096)]


def host_name() -> str:
    """Return this machine's short name, in the characters that a topic may hold."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname().partition(".")[0])[:64] or "device"


class Device(Record, frozen=True):
    """This unit.

    Attributes:
        name: A level of every topic.
        watch_file: Follow the configuration's file when it changes.
    """

    name: Name = field(default_factory=host_name)
    watch_file: bool = True


class Model(Record, frozen=True):
    """Which model runs, and how.

    Attributes:
        file: A model made by edge-convert; `None` is the built-in COCO detector.
        description: A TOML that describes `file`, which may then come from anywhere.
        threads: Of the interpreter; 0 leaves one core to capture and publishing.
        workers: Interpreters that run at the same time, each with so many threads, for more frames
            a second of several cameras; each takes the model's memory again.
        delegate: `cpu`, `edgetpu`, or `edgetpu:DEVICE`; nothing falls back to the CPU.
        score_threshold: In [0, 1]; `None` takes the model's own.
        iou_threshold: In [0, 1]; `None` takes the model's own.
        max_detections: Most detections of one frame; `None` takes 100.
        max_candidates: Best scores of a frame that meet each other; `None` takes 256, or twice as
            many as `max_detections`.
        suppression: Which of them meet: those of one `class`, `all`, or `none`; `None` takes
            `class`, and `none` of a model that suppresses by itself.
    """

    checks: ClassVar[Checks] = {"delegate": delegates.parse}

    file: Path | None = None
    description: Path | None = None
    threads: Annotated[int, Meta(ge=0, le=64)] = 0
    workers: Annotated[int, Meta(ge=1, le=16)] = 1
    score_threshold: Ratio | None = None
    iou_threshold: Ratio | None = None
    max_detections: Annotated[int, Meta(gt=0, le=1000)] | None = None
    max_candidates: Annotated[int, Meta(gt=0, le=10_000)] | None = None
    suppression: Suppression | None = None
    delegate: str = delegates.CPU

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.description and not self.file:
            raise ValueError("description needs a model: write file = 'MODEL.tflite' beside it")
        if self.workers > 1 and delegates.parse(self.delegate).kind.is_one_device:
            raise ValueError(
                f"workers = {self.workers} would queue for one device, delegate "
                f"{self.delegate!r}, which runs one frame at a time; leave workers out"
            )


class Regions(Record, frozen=True):
    """Crops around what moves; without the section every frame is seen whole, and no other way.

    Attributes:
        invokes_per_frame: Most invokes, in the mean over the frames of a camera.
        sweep_s: How often the whole frame is looked at, whether anything moves or not.
        still_s: How often a frame is told of that nothing looked at.
    """

    invokes_per_frame: Annotated[float, Meta(ge=0.05, le=8)] = 1.0
    sweep_s: Annotated[float, Meta(ge=0.1, le=60)] = 2.0
    still_s: Annotated[float, Meta(ge=0, le=5)] = 0.5


class Snapshots(Record, frozen=True):
    """What is taken of whom; without the section nothing is, unless somebody asks for one.

    Attributes:
        labels: Of which objects; `None` are all that the model knows.
        crop: The object, or else the whole frame.
        margin_ratio: Around the object, of its width and height, at each side.
        picture_px: Longer side of the frame that it is cut from.
        max_side_px: Longer side of the image.
        max_kib: Largest JPEG; its quality falls until it fits, and then its size.
        every_s: Least time between two of a label and camera.
    """

    labels: Annotated[tuple[Text, ...], Meta(min_length=1)] | None = None
    crop: bool = True
    margin_ratio: Ratio = 0.15
    picture_px: SidePx = 1280
    max_side_px: SidePx = 640
    max_kib: Annotated[int, Meta(ge=4, le=4096)] = 100
    every_s: Annotated[float, Meta(ge=0.5, le=86_400)] = 10.0


class Tracking(Record, frozen=True):
    """How objects are followed from frame to frame; without the section they are not.

    Attributes:
        low_score_threshold: Least score of a detection that goes on with a track.
        lost_s: How long an object may be out of sight and still be the same.
        stationary_s: How long an object rests before it is called stationary.
    """

    low_score_threshold: Ratio = 0.1
    lost_s: Annotated[float, Meta(gt=0, le=60)] = 2.0
    stationary_s: PositiveFloat = 10.0


class Output(Record, frozen=True):
    """Where results go besides the broker.

    Attributes:
        jsonl: Write one JSON object a frame to stdout; `None` does so where results would go
            nowhere else.
        class_map: Messages hold the class map, or the masks of instances, not only the areas.
        results_hz: Most results a second of each camera, by its own clock; `None` tells all.
        stats_s: Between two messages that say how the run goes; 0 says nothing.
    """

    jsonl: bool | None = None
    class_map: bool = True
    results_hz: Annotated[float, Meta(gt=0, le=1000)] | None = None
    stats_s: Annotated[float, Meta(ge=0, le=86_400)] = 30.0


# Levels of a device's topics that are no camera's.
TAKEN = ("command", "reply")


def _check_cameras(cameras: tuple[Camera, ...]) -> None:
    names = [camera.name for camera in cameras]
    if taken := [name for name in names if name in TAKEN]:
        raise ValueError(
            f"a camera cannot be named {taken[0]!r}: edge/DEVICE/{taken[0]}/ is where "
            "commands and their answers go; give it another name"
        )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(
            f"two cameras are named {twice!r}, and their results would share a topic; "
            "give each [[camera]] a name of its own"
        )


def _check_sinks(sinks: tuple[AnySink, ...]) -> None:
    places = [str(sink.path or "stdout") for sink in sinks if isinstance(sink, Jsonl)]
    twice = next((place for place in places if places.count(place) > 1), None)
    if twice is not None:
        raise ValueError(
            f"two sinks write JSON lines to {twice}, where they would mix; give each [[sink]] a "
            "path of its own, and leave [output] jsonl out where one writes to stdout"
        )


class Config(Record, frozen=True):
    """Everything `edge run` needs to know; `cameras` are `[camera]`, or each `[[camera]]`."""

    checks: ClassVar[Checks] = {"cameras": _check_cameras, "extra_sinks": _check_sinks}

    device: Device = field(default_factory=Device)
    cameras: Annotated[
        tuple[Camera, ...], Meta(min_length=1, description="a table [camera], or tables [[camera]]")
    ] = field(default=(Camera(),), name="camera")
    model: Model = field(default_factory=Model)
    regions: Regions | None = None
    tracking: Tracking | None = None
    selfcheck: Selfcheck | None = None
    harvest: Harvest | None = None
    mqtt: Mqtt | None = None
    zones: Annotated[
        tuple[Zone, ...], Meta(max_length=32, description="up to 32 tables [[zone]]")
    ] = field(default=(), name="zone")
    lines: Annotated[
        tuple[Line, ...], Meta(max_length=32, description="up to 32 tables [[line]]")
    ] = field(default=(), name="line")
    masks: Annotated[
        tuple[Mask, ...], Meta(max_length=32, description="up to 32 tables [[mask]]")
    ] = field(default=(), name="mask")
    filters: Annotated[
        tuple[Filter, ...], Meta(max_length=32, description="up to 32 tables [[filter]]")
    ] = field(default=(), name="filter")
    events: Events | None = None
    homeassistant: HomeAssistant | None = None
    output: Output = field(default_factory=Output)
    snapshots: Snapshots | None = None
    web: Web | None = None
    extra_sinks: Annotated[
        tuple[AnySink, ...], Meta(max_length=16, description="up to 16 tables [[sink]]")
    ] = field(default=(), name="sink")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sinks:
            raise ValueError("results go nowhere; add [mqtt] url, or leave [output] jsonl out")
        if self.regions and delegates.parse(self.model.delegate).kind.format == "rpk":
            raise ValueError(
                f"[regions] looks closer at parts of a frame, and delegate {self.model.delegate!r} "
                "sees it whole in the sensor; leave the section out"
            )
        if self.homeassistant and not self.mqtt:
            raise ValueError("[homeassistant] needs a broker that it listens to: add [mqtt] url")
        if self.output.jsonl:
            _check_sinks(tuple(sink for sink in self.sinks if not isinstance(sink, Mqtt)))
        check_places(self.about_boxes(), [camera.name for camera in self.cameras])

    def about_boxes(self) -> dict[str, Tracking | Place | Events | Snapshots | HomeAssistant]:
        """Return what is there that means something for detections only, by how it is called."""
        tables: dict[str, tuple[Place, ...]] = {
            "zone": self.zones,
            "line": self.lines,
            "mask": self.masks,
            "filter": self.filters,
        }
        house = self.homeassistant
        alone = {
            "[tracking]": self.tracking,
            "[events]": self.events,
            "[snapshots]": self.snapshots,
            "[homeassistant]": house if house and house.labels else None,
        }
        return {name: each for name, each in alone.items() if each} | {
            table_label(table, number, [getattr(each, "name", "") for each in places]): place
            for table, places in tables.items()
            for number, place in enumerate(places)
        }

    @property
    def tells_events(self) -> bool:
        """Whether objects are followed through zones and over lines, or told by themselves."""
        return bool(self.zones or self.lines or self.events)

    @property
    def follows(self) -> Tracking | None:
        """How objects are followed: what tells of them needs it, by its defaults."""
        return self.tracking or (Tracking() if self.tells_events else None)

    @property
    def tells_states(self) -> bool:
        """Whether a sink takes what is so until it changes."""
        return self.mqtt is not None or any("state" in sink.policies for sink in self.extra_sinks)

    @property
    def sinks(self) -> tuple[Mqtt | AnySink, ...]:
        """All that get messages: the broker, stdout, and each `[[sink]]`."""
        named = (*([self.mqtt] if self.mqtt else []), *self.extra_sinks)
        writes_jsonl = not named if self.output.jsonl is None else self.output.jsonl
        return (*named, Jsonl()) if writes_jsonl else named
