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
    from collections.abc import Callable, Iterator

    from edge.config.camera import Camera
    from edge.config.sections import Config


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
    from edge.config import reading  # noqa: PLC0415 - `edge --help` needs no msgspec

    found: list[str] = []
    try:
        settings = reading.load(arguments.config, {})
    except ConfigError as error:
        found += str(error).splitlines()
        settings = reading.load_sound_part(arguments.config)
    found += faults(settings)
    refused = _failure(partial(_load_model, settings))
    status = MISUSED if found else FAILED if refused else DONE
    # Of a file that cannot be read, loading has nothing new to say.
    found += [text for text in refused if not any(text in each for each in found)]
    if arguments.json:
        print(json.dumps({"config": str(arguments.config), "faults": found}, indent=1))
    elif not found:
        print(f"{arguments.config}: no faults")
    for fault in [] if arguments.json else found:
        print(f"edge: {fault}", file=sys.stderr)
    return status


def faults(config: Config) -> list[str]:
    """Return one sentence for each fault of a configuration; none means that `edge run` may start.

    Files are read; a model that this user never ran is run in a child; no network and no device is
    touched.
    """
    from edge.config.paths import lookalike  # noqa: PLC0415 - `edge --help` needs neither

    found = []
    for place, path, check in _checks(config):
        failure = _failure(check)
        found += [f"{place}{text}{lookalike(path) if path else ''}" for text in failure]
    return found


def _failure(check: Callable[[], object]) -> list[str]:
    try:
        check()
    except EdgeError as error:
        return [str(error)]
    return []


def _checks(config: Config) -> Iterator[tuple[str, Path | None, Callable[[], object]]]:
    """Yield what is checked: what stands before its fault, the file that it is about, the check."""
    from edge.capture.registry import check_source  # noqa: PLC0415
    from edge.config.faults import camera_label  # noqa: PLC0415
    from edge.sinks.mqtt_credentials import read_password, tls_context  # noqa: PLC0415

    yield "", config.model.file, partial(_check_model, config)
    names = [camera.name for camera in config.cameras]
    for index, camera in enumerate(config.cameras):
        place = f"{camera_label(index, names)} source: "
        yield place, _source_path(camera), partial(check_source, camera.source, camera.options)
    password, certificates = (
        (config.mqtt.password_file, config.mqtt.ca_file) if config.mqtt else (None, None)
    )
    if password:
        yield "", password, partial(read_password, password)
    if certificates:
        yield "", certificates, partial(tls_context, certificates)


def _check_model(config: Config) -> None:
    from edge import app  # noqa: PLC0415
    from edge.model import delegates  # noqa: PLC0415
    from edge.model.backends import litert  # noqa: PLC0415

    file = app.model_file(config)
    app.thresholds(config, file.description)
    if delegate := delegates.parse(config.model.delegate):
        litert.check_delegate(file, delegate)
        delegates.check_library(delegate)


def _source_path(camera: Camera) -> Path | None:
    from edge.capture.location import FILE_SCHEMES  # noqa: PLC0415

    scheme, _, location = camera.source.partition(":")
    if scheme not in FILE_SCHEMES or not location or location.startswith("//"):
        return None
    return Path(location)


def _load_model(config: Config) -> None:
    """Load the model, unless a delegate runs it: that would open its device."""
    from edge import app  # noqa: PLC0415
    from edge.model import delegates  # noqa: PLC0415
    from edge.model.loaded import read_spec  # noqa: PLC0415

    file = app.model_file(config)
    if delegates.parse(config.model.delegate):
        read_spec(file)
    else:
        app.open_model(config, file, threads=1)
