"""From a TOML file and the command line's overrides to a checked configuration.

Checking touches no network and opens no device.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from edge.config.faults import sentence
from edge.config.sections import SECTIONS, Config
from edge.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Sources whose location is a path.
ANCHORED_SCHEMES = ("file", "images")


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
        if isinstance(target, list) and values:
            raise ConfigError(
                f"{path} has {len(target)} cameras of its own; leave out "
                f"{', '.join(f'--{key}' for key in values)}, or give no configuration"
            )
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
    sound: dict[str, Any] = {}
    for name, values in _read(path).items():
        with contextlib.suppress(ValidationError):
            if isinstance(values, list) and name == "camera":
                sound[name] = [SECTIONS[name].model_validate(each) for each in values]
            elif name in SECTIONS:
                sound[name] = SECTIONS[name].model_validate(values)
    try:
        return Config.model_validate(sound)
    except ValidationError:  # sections that are sound alone and do not fit; `load` said so
        fitting = {name: sound[name] for name in ("device", "model", "mqtt") if name in sound}
        return Config.model_validate(fitting)


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
    cameras = fields.get("camera")
    for camera in cameras if isinstance(cameras, list) else [cameras]:
        if not isinstance(camera, dict):
            continue
        scheme, _, location = str(camera.get("source", "")).partition(":")
        if scheme in ANCHORED_SCHEMES and location:
            camera["source"] = f"{scheme}:{folder / location.removeprefix('//')}"
