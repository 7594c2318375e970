"""Which versions of this project and of others are installed."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PROJECT = "edge-vision"


def versions(names: Iterable[str]) -> dict[str, str]:
    """Return the installed versions of distributions, by name; absent ones are left out."""
    found = {name: _version(name) for name in sorted(names)}
    return {name: version for name, version in found.items() if version}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def own_version() -> str:
    """Return this project's name and version, as `--version` prints them."""
    return f"{PROJECT} {versions([PROJECT]).get(PROJECT, '(not installed: a checkout)')}"
