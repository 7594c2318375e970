"""`edge check`: every fault of a configuration at once; no network, no device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge import app
from edge.capture.location import FILE_SCHEMES, find
from edge.capture.registry import split_uri
from edge.config import reading as config
from edge.errors import ConfigError, EdgeError
from edge.model import delegates
from edge.model.backends import litert
from edge.model.loaded import read_spec
from edge.sinks.mqtt_credentials import read_password, tls_context

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.config.sections import Config


def faults(path: Path) -> list[str]:
    """Return one sentence for each fault; none means that `edge run` can start.

    The model is read, matched with its manifest, and, unless a delegate runs it, loaded.
    """
    found: list[str] = []
    try:
        settings = config.load(path, {})
    except ConfigError as error:
        found += str(error).splitlines()
        settings = config.load_sound_sections(path)
    for check in (_check_model, _check_source, _check_password, _check_certificates):
        found += _failure(check, settings)
    return found


def _failure(check: Callable[[Config], None], settings: Config) -> list[str]:
    try:
        check(settings)
    except EdgeError as error:
        return [str(error)]
    return []


def _check_model(settings: Config) -> None:
    file = app.model_file(settings)
    delegate = delegates.parse(settings.model.delegate)
    if not delegate:
        app.open_model(settings, file, threads=1)
        return
    # Loading the model would open the delegate's device.
    read_spec(file)
    litert.check_delegate(file, delegate)
    delegates.check_library(delegate)


def _check_source(settings: Config) -> None:
    try:
        scheme, location = split_uri(settings.cameras[0].source)
        if scheme in FILE_SCHEMES:
            find(scheme, location)
    except EdgeError as error:
        raise ConfigError(f"[camera] source: {error}") from error


def _check_password(settings: Config) -> None:
    if settings.mqtt and settings.mqtt.password_file:
        read_password(settings.mqtt.password_file)


def _check_certificates(settings: Config) -> None:
    if settings.mqtt and settings.mqtt.ca_file:
        tls_context(settings.mqtt.ca_file)
