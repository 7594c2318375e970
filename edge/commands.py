"""The table of commands: what each takes, and what it does. A new one is a record and a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from edge import reload
from edge.config import overlay
from edge.config.camera import Name
from edge.config.reading import parse
from edge.errors import ConfigError
from edge.record import Ratio, Record, Text
from edge.swap import models_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.config.sections import Config
    from edge.parts import Parts
    from edge.service.release import Release
    from edge.swap import ModelSwap

RELOAD = "reload"
# Sections that the command `zones` replaces.
PLACES = ("zone", "line", "mask", "filter")
Id = Annotated[Text, Meta(max_length=128)] | int
FileName = Annotated[
    str,
    Meta(
        pattern=r"^[^/\\\x00-\x1f.][^/\\\x00-\x1f]{0,120}\.tflite\Z",
        description="the name of a .tflite file, without a folder",
    ),
]
BundleName = Annotated[
    str,
    Meta(
        pattern=r"^[^/\\\x00-\x1f.][^/\\\x00-\x1f]{0,120}\.tar\Z",
        description="the name of a .tar file, without a folder",
    ),
]
Tables = Annotated[tuple[dict[str, Any], ...], Meta(max_length=64)] | None


class Arguments(Record, frozen=True, kw_only=True):
    """What every request may say.

    Attributes:
        id: Comes back in the answer.
    """

    id: Id | None = None


class Threshold(Arguments, frozen=True, kw_only=True):
    """Of `threshold`; `save` has it hold after a restart."""

    score_threshold: Ratio
    save: bool = False


class Enabled(Arguments, frozen=True, kw_only=True):
    """Of `enabled`: of one camera, or all; it holds after a restart."""

    enabled: bool
    camera: Name | None = None


class Zones(Arguments, frozen=True, kw_only=True):
    """Of `zones`: in the vocabulary of the configuration; what is not given stays."""

    zone: Tables = None
    line: Tables = None
    mask: Tables = None
    filter: Tables = None
    save: bool = False


class Snapshot(Arguments, frozen=True, kw_only=True):
    """Of `snapshot`: of one camera, or all."""

    camera: Name | None = None


class Model(Arguments, frozen=True, kw_only=True):
    """Of `model`: a file in the folder `models` or beside the configured one; else the newest."""

    file: FileName | None = None


class Update(Arguments, frozen=True, kw_only=True):
    """Of `update`: a bundle of a URL, or one in the folder `update`; else the newest there."""

    url: (
        Annotated[
            str, Meta(pattern=r"^https?://[!-~]{1,2000}\Z", description="a URL of http or https")
        ]
        | None
    ) = None
    file: BundleName | None = None
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{64}\Z")] | None = None


class Reload(Arguments, frozen=True, kw_only=True):
    """Of `reload`; `forget` undoes all that commands have saved."""

    forget: bool = False


@dataclass(slots=True)
class Subject:
    """What commands change.

    Attributes:
        parts: What runs.
        swap: Puts another model in.
        reread: Reads the configuration again; `None` where it came from no file.
        file: That file.
        release: That it is part of; `None` where this was not installed.
    """

    parts: Parts
    swap: ModelSwap
    reread: Callable[[], Config] | None = None
    file: Path | None = None
    release: Release | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """One kind of request.

    Attributes:
        arguments: What it takes.
        apply: Does it, on the thread `edge-control`, and returns a sentence of what was done.
        takes_long: It is told of when it begins.
    """

    arguments: type[Arguments]
    apply: Callable[[Subject, Any], str]
    takes_long: bool = False


class _Named(msgspec.Struct):
    id: Id | None = None


def id_of(arguments: bytes) -> str | int | None:
    """Return what a request calls itself, as far as that can be read."""
    try:
        return msgspec.json.decode(arguments, type=_Named).id
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def command_of(name: str) -> Command:
    """Return what carries a request out; raises a `ConfigError` where there is no such command."""
    if name not in COMMANDS:
        known = ", ".join(COMMANDS)
        raise ConfigError(f"expected a command of {known}, found {name[:40]!r}; send one of them")
    return COMMANDS[name]


def _threshold(subject: Subject, given: Threshold) -> str:
    config = subject.parts.config
    model = config.model.replace(score_threshold=given.score_threshold)
    said = reload.follow(subject.parts, config.replace(model=model), subject.swap)
    kept = {"model.score_threshold": given.score_threshold}
    return said + (_kept(subject, kept) if given.save else "")


def _enabled(subject: Subject, given: Enabled) -> str:
    cameras, config = subject.parts.cameras, subject.parts.config
    names = [camera.name for camera in config.cameras]
    if given.camera and given.camera not in names:
        raise ConfigError(f"expected a camera of {', '.join(names)}, found {given.camera!r}")
    wanted = [given.camera] if given.camera else names
    cameras.pause(wanted, on=not given.enabled)
    said = f"{', '.join(wanted)}: {'enabled' if given.enabled else 'paused'}"
    return said + _kept(subject, {}, pauses=(wanted, not given.enabled))


def _zones(subject: Subject, given: Zones) -> str:
    config = subject.parts.config
    new = {key: list(tables) for key in PLACES if (tables := getattr(given, key)) is not None}
    fields = {key: msgspec.to_builtins(getattr(config, f"{key}s")) for key in PLACES}
    cameras = {"camera": [{"name": camera.name} for camera in config.cameras]}
    checked = parse(fields | new | cameras)
    changes = {f"{key}s": getattr(checked, f"{key}s") for key in new}
    said = reload.follow(subject.parts, config.replace(**changes), subject.swap)
    return said + (_kept(subject, new) if given.save else "")


def _model(subject: Subject, given: Model) -> str:
    config, file = subject.parts.config, subject.file
    own = config.model.file
    folders = [each for each in (models_folder(), own.parent if own else None) if each]
    waiting = subject.swap.waiting()
    paths = [folder / given.file for folder in folders] if given.file else [*(waiting or ())][:1]
    path = next((each for each in paths if each.is_file()), None)
    if path is None:
        places = " or ".join(map(str, folders))
        name = repr(given.file) if given.file else "newer one"
        raise ConfigError(f"expected a file in {places}, found no {name}; copy it there")

    def keep() -> None:
        if file:
            values = {overlay.MODEL_FILE: str(path.absolute())}
            overlay.keep(file, config.device.name, values)

    model = config.model.replace(file=path, description=None)
    said = subject.swap.to(config.replace(model=model), passed=keep)
    return f"{said}; then it is kept over a restart" if file else said


def _update(subject: Subject, given: Update) -> str:
    if subject.release is None:
        raise ConfigError("this device was not installed by edge install; update it by hand")
    return subject.release.request(given)


def _reload(subject: Subject, given: Reload) -> str:
    parts, device = subject.parts, subject.parts.config.device.name
    if subject.reread is None:
        raise ConfigError("there is no file to read again; give edge run the path of one")
    before = overlay.saved(device)
    if given.forget:
        overlay.save(device, overlay.Saved())
    try:
        said = reload.follow(parts, subject.reread(), subject.swap, anew=True)
    except BaseException:
        if given.forget:
            overlay.save(device, before)
        raise
    if given.forget:
        parts.cameras.pause(before.paused, on=False)
    return said


def _kept(
    subject: Subject, values: dict[str, Any], *, pauses: tuple[list[str], bool] = ([], False)
) -> str:
    """Save values of the configuration, and which cameras pause; return the rest of a sentence."""
    if subject.file is None:
        return "; not saved: it was started without a file"
    try:
        overlay.keep(subject.file, subject.parts.config.device.name, values, pauses=pauses)
    except ConfigError as error:
        return f"; not saved: {error}"
    return "; kept over a restart"


COMMANDS = {
    "threshold": Command(Threshold, _threshold),
    "enabled": Command(Enabled, _enabled),
    "zones": Command(Zones, _zones),
    "snapshot": Command(Snapshot, lambda subject, given: subject.parts.snapshot(given.camera)),
    "model": Command(Model, _model, takes_long=True),
    "update": Command(Update, _update),
    RELOAD: Command(Reload, _reload),
}
