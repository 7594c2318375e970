"""A configuration's faults as sentences: where, what, and what to write instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.faults import Fault


def sentence(fault: Fault, fields: Mapping[str, Any]) -> str:
    """Return a fault as ``[section] key: what was expected, found …``.

    Args:
        fault: Of a configuration; a camera's place begins with its number.
        fields: What was read: section to key to value.
    """
    section, *keys = fault.place or ("",)
    if section != "camera" or not keys:
        return fault.sentence(f"[{section}]")
    label = camera_label(keys[0], _camera_names(fields))
    return fault.within(section, *keys[1:]).sentence(label)


def camera_label(index: int, names: Sequence[str]) -> str:
    """Return where a camera stands in the configuration: `[camera]`, or `[[camera]] 2 (door)`.

    Args:
        index: Among the cameras, from 0.
        names: Of all of them; empty where one has none.
    """
    if len(names) <= 1:
        return "[camera]"
    return f"[[camera]] {index + 1}{f' ({names[index]})' if names[index] else ''}"


def _camera_names(fields: Mapping[str, Any]) -> list[str]:
    cameras = fields.get("camera")
    return [
        str(camera.get("name", "")) if isinstance(camera, dict) else ""
        for camera in (cameras if isinstance(cameras, (list, tuple)) else [cameras])
    ]
