"""The table of frame sources, and the way from a URI to an open one."""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING, cast

from edge.errors import DependencyError, SourceError

if TYPE_CHECKING:
    from edge.capture.source import Source, SourceOptions

# Scheme: module, callable(location, options), what to install where the import fails.
SOURCES = {
    "demo": ("edge.capture.synthetic", "DemoSource", ""),
    "file": ("edge.capture.files", "open_file", ""),
    "images": ("edge.capture.images", "open_images", ""),
    "v4l2": ("edge.capture.v4l2", "V4l2Source", ""),
}


def open_source(uri: str, options: SourceOptions) -> Source:
    """Open the source that a URI names: `demo:`, `file:PATH`, `images:FOLDER`, `v4l2:/dev/video0`.

    Raises:
        SourceError: The URI is not understood, or the source cannot be opened.
        DependencyError: The source needs a package that is not installed.
    """
    scheme, location = split_uri(uri)
    module_name, opener_name, install = SOURCES[scheme]
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        advice = f"install {install}" if install else "install edge-vision again"
        raise DependencyError(f"{uri}: cannot import {error.name}; {advice}") from error
    return cast("Source", getattr(module, opener_name)(location, options))


def split_uri(uri: str) -> tuple[str, str]:
    """Return scheme and location of a source URI whose scheme is in `SOURCES`."""
    scheme, colon, location = uri.partition(":")
    if colon and scheme in SOURCES:
        return scheme, location
    known = ", ".join(f"{name}:" for name in SOURCES)
    expected = f"{uri!r} is not a source; expected one of {known}"
    if uri in SOURCES:
        raise SourceError(f"{expected} with its colon: write {uri}:")
    if not colon or "/" in scheme:
        raise SourceError(f"{expected}; for a file write file:{uri}")
    close = difflib.get_close_matches(scheme.lower(), SOURCES, n=1)
    advice = f"did you mean {close[0]}:{location}" if close else f"for a file write file:{uri}"
    raise SourceError(f"{expected}; {advice}")
