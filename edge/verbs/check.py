"""The verb `edge check`, and what `edge run` refuses as well before it starts."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import ConfigError, EdgeError
from edge.terminal.command import DONE, FAILED, MISUSED, add_verb

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from edge.config.camera import Camera
    from edge.config.sections import Config
    from edge.config.sink import AnySink
    from edge.model.model_file import ModelFile


def add(verbs: Any) -> None:  # noqa: ANN401
    """Add the verb to a command."""
    parser = add_verb(
        verbs,
        "check",
        "Find every fault of a configuration; no network, no device is touched.",
        run=run,
        examples=["edge check /etc/edge/door.toml"],
    )
    parser.add_argument("config", metavar="CONFIG", type=Path, help="a TOML file")
    parser.add_argument("--json", action="store_true", help="faults as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print every fault; the status is that of `edge run` for the same faults."""
    from edge.config import overlay, reading  # noqa: PLC0415 - `edge --help` needs no msgspec
    from edge.model import delegates  # noqa: PLC0415

    found: list[str] = []
    try:
        settings = reading.load(arguments.config, {})
    except ConfigError as error:
        found += str(error).splitlines()
        settings = reading.load_sound_part(arguments.config)
    file, faults = examine(settings)
    found += faults
    refused = _failure(partial(_load, settings, file)) if file else []
    status = MISUSED if found else FAILED if refused else DONE
    found += refused
    ran = _ran(settings, file) if file and not found else {}
    if arguments.json:
        said = {"config": str(arguments.config), "faults": found, **ran}
        print(json.dumps(said, indent=1))
    elif not found:
        print(f"{arguments.config}: no faults")
        print(f"model: {ran['model']}, run by {ran['run_by']}")
        if file and file.why:
            print(f"{file.path}: described by {file.origin}")
        if saved := overlay.note(settings.device.name):
            print(f"note: {saved}")
        if tried := delegates.parse(settings.model.delegate).kind.tried:
            print(f"note: this delegate was tried {tried}")
    for fault in [] if arguments.json else found:
        print(f"edge: {fault}", file=sys.stderr)
    return status


def _ran(config: Config, file: ModelFile) -> dict[str, str]:
    from edge.model.backend import who_runs  # noqa: PLC0415

    ran = who_runs(file, config.model.delegate)
    return {"model": file.description.name, "run_by": str(ran)}


def examine(config: Config) -> tuple[ModelFile | None, list[str]]:
    """Return the configured model, and one sentence for each fault of the configuration.

    Without a fault `edge run` may start, with the very model that was checked. Files are read; a
    model that this user never ran is run in a child; no network and no device is touched.

    Returns:
        `None` for a model that is at fault itself.
    """
    file, found = None, []
    try:
        file = _model(config)
    except EdgeError as error:
        found += _sentence(error, config.model.file).splitlines()
    return file, found + examine_around(config)


def examine_around(config: Config) -> list[str]:
    """Return one sentence for each fault of what is not the model: sources, sinks, secrets."""
    from edge.capture.registry import check_source  # noqa: PLC0415 - `edge --help` needs none
    from edge.config.toml import table_label  # noqa: PLC0415

    found = []
    names = [camera.name for camera in config.cameras]
    for index, camera in enumerate(config.cameras):
        check = partial(check_source, camera.source, camera.options)
        failure = _failure(check, path=_source_path(camera))
        found += [f"{table_label('camera', index, names)} source: {text}" for text in failure]
    if config.mqtt:
        from edge.sinks.registry import check_sink  # noqa: PLC0415 - off by default

        found += _failure(partial(check_sink, config.mqtt))
    found += _sinks(config.extra_sinks)
    if config.harvest:
        from edge.stages import harvest  # noqa: PLC0415 - off by default

        found += _failure(partial(harvest.check, config.harvest))
    if config.web and config.web.token_file:
        from edge.web.access import read_token  # noqa: PLC0415

        found += _failure(partial(read_token, config.web), path=config.web.token_file)
    return found


def _failure(check: Callable[[], object], *, path: Path | None = None) -> list[str]:
    """Return what a check refuses, with a name that looks like the path's where there is one."""
    try:
        check()
    except EdgeError as error:
        return _sentence(error, path).splitlines()
    return []


def _sentence(error: EdgeError, path: Path | None) -> str:
    from edge.config.paths import lookalike  # noqa: PLC0415

    return f"{error}{lookalike(path) if path else ''}"


def _sinks(sinks: tuple[AnySink, ...]) -> list[str]:
    """Return what opening the tables `[[sink]]` would refuse."""
    if not sinks:
        return []
    from edge.config.toml import table_label  # noqa: PLC0415
    from edge.sinks.registry import SINKS, check_sink  # noqa: PLC0415

    names = [SINKS[type(sink)].name for sink in sinks]
    return [
        f"{table_label('sink', index, names)} {text}"
        for index, sink in enumerate(sinks)
        for text in _failure(partial(check_sink, sink))
    ]


def _model(config: Config) -> ModelFile:
    """Read the configured model, and refuse what does not go with it."""
    from edge import app  # noqa: PLC0415
    from edge.config.paths import state_folder  # noqa: PLC0415
    from edge.model import engines  # noqa: PLC0415
    from edge.model.backend import check_delegate  # noqa: PLC0415
    from edge.parts import thresholds  # noqa: PLC0415

    file = app.model_file(config)
    thresholds(config, file.description)
    check_delegate(file, config.model.delegate)
    engines.check_any(file, config.model.delegate, state_folder())
    return file


def _source_path(camera: Camera) -> Path | None:
    from edge.capture.location import FILE_SCHEMES  # noqa: PLC0415

    scheme, _, location = camera.source.partition(":")
    if scheme not in FILE_SCHEMES or not location or location.startswith("//"):
        return None
    return Path(location)


def _load(config: Config, file: ModelFile) -> None:
    """Load the model, unless a delegate runs it: that would open its device."""
    from edge import app  # noqa: PLC0415
    from edge.model import delegates  # noqa: PLC0415
    from edge.model.loaded import read_spec  # noqa: PLC0415

    if delegates.parse(config.model.delegate):
        read_spec(file)
    else:
        app.open_model(config, file, threads=1)
