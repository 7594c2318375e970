"""The table of frame sources, and the way from a URI to an open one."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from edge.capture.location import pipeline_name
from edge.capture.options import (
    CameraOptions,
    PicameraOptions,
    SourceOptions,
    StreamOptions,
    V4l2Options,
)
from edge.capture.reopening import Reopening
from edge.capture.source import Turned
from edge.errors import DependencyError, SourceError, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.capture.reopening import CameraState
    from edge.capture.source import Source


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of source.

    Attributes:
        module: Imported when the first of its kind is opened.
        opener: Of the module: `(location, options) -> Source`.
        check: Of the module: `(location, options) -> None`; raises `SourceError` for what the
            opener would refuse, and touches no device. Without one it is opened and read once.
        options: What may be asked of it.
        returns: What breaks may come back, as a camera that is plugged in again.
        is_there: Of the module: `(location, options) -> bool`, whether it can be had, as far as
            that is told without opening it; it may block.
        whole: The functions take the whole URI in the place of a location.
        turns: Degrees by which it turns its frames itself.
    """

    module: str
    opener: str
    check: str = ""
    options: type[SourceOptions] = SourceOptions
    returns: bool = False
    is_there: str = ""
    whole: bool = False
    turns: tuple[int, ...] = ()


STREAM = Row(
    "edge.capture.streams", "StreamSource", "check_stream", StreamOptions,
    returns=True, is_there="is_there", whole=True,
)  # fmt: skip
SOURCES = {
    "demo": Row("edge.capture.synthetic", "open_demo", "check_demo"),
    "file": Row("edge.capture.files", "open_file"),
    "images": Row("edge.capture.images", "open_images"),
    "imx500": Row(
        "edge.capture.imx500", "open_imx500", "check_imx500", PicameraOptions, returns=True
    ),
    "picamera": Row(
        "edge.capture.picamera",
        "open_picamera",
        "check_picamera",
        PicameraOptions,
        returns=True,
        turns=(180,),
    ),
    "replay": Row("edge.capture.replay", "open_replay"),
    "rtsp": STREAM,
    "rtsps": STREAM,
    "http": STREAM,
    "https": STREAM,
    "gst": Row("edge.capture.gst", "open_gst", "check_gst", CameraOptions, returns=True),
    "csi": Row("edge.capture.gst", "open_csi", "check_csi", CameraOptions, returns=True),
    "v4l2": Row(
        "edge.capture.v4l2",
        "V4l2Source",
        "check_v4l2",
        V4l2Options,
        returns=True,
        is_there="is_there",
    ),
}
# What people try, and why it is no source here.
THROUGH_GST = "streams are rtsp:, rtsps:, http: or https:; others come through a pipeline, gst:"
PI = "a Raspberry Pi's own camera is picamera:, that of others csi:0, a USB camera v4l2:/dev/video0"
MISSING = dict.fromkeys(("rtmp", "rtp", "srt", "udp", "tcp", "mjpeg"), THROUGH_GST) | dict.fromkeys(
    ("libcamera", "picamera2", "rpicam", "argus", "nvarguscamerasrc"), PI
)


def open_source(uri: str, options: SourceOptions | None = None) -> Source:
    """Open the source that a URI names.

    Args:
        uri: Its scheme is one of `SOURCES`.
        options: Of the row's own model; `None` asks for nothing.

    Raises:
        SourceError: The URI is not understood, or the source cannot be opened.
        DependencyError: The source needs a package that is not installed.
    """
    scheme, location = split_uri(uri)
    row = SOURCES[scheme]
    options = options or row.options()
    source: Source = _function(row, row.opener)(uri if row.whole else location, options)
    if options.rotate and options.rotate not in row.turns:
        return Turned(source, options.rotate)
    return source


def open_lasting(
    uri: str,
    options: SourceOptions | None = None,
    *,
    begin_closed: bool = False,
    on_change: Callable[[CameraState], None] = lambda _: None,
) -> Source:
    """Open a source, one that may return as `Reopening`; the others never call `on_change`.

    Raises:
        SourceError: As `open_source`; with `begin_closed` only for a URI that no source has.
    """
    scheme, location = split_uri(uri)
    row = SOURCES[scheme]
    if not row.returns:
        return open_source(uri, options)
    asked = uri if row.whole else location, options or row.options()
    return Reopening(
        partial(open_source, uri, options),
        name=shown_source(uri),
        begin_closed=begin_closed,
        is_there=partial(_function(row, row.is_there), *asked) if row.is_there else None,
        on_change=on_change,
    )


def shown_source(uri: str) -> str:
    """Return what may be printed of a source's URI.

    Of a URL that is what follows the last `@`, without a query; of a pipeline its first element.
    """
    scheme, _, location = uri.partition(":")
    if scheme == "gst":
        return pipeline_name(location)
    if "//" not in location:
        return uri
    return f"{scheme}:{_place(location).partition('?')[0]}"


def _place(location: str) -> str:
    """Return a location without the user and password of a URL."""
    place = shown(location).removeprefix("…@")
    return f"//{place}" if "@" in location and location.startswith("//") else place


def check_source(uri: str, options: SourceOptions | None = None) -> None:
    """Refuse what `open_source` would refuse, as far as that shows without touching a device.

    Raises:
        SourceError: With the sentence that opening it would end with.
        DependencyError: The source needs a package that is not installed.
    """
    scheme, location = split_uri(uri)
    row = SOURCES[scheme]
    if row.check:
        _function(row, row.check)(uri if row.whole else location, options or row.options())
        return
    # Without the options: what a file gives otherwise than asked is told when it runs.
    with open_source(uri) as source:
        source.read(None)


def split_uri(uri: str) -> tuple[str, str]:
    """Return scheme and location of a source URI whose scheme is in `SOURCES`.

    Raises:
        SourceError: There is no such scheme; nothing before an `@` is repeated.
    """
    scheme, colon, location = uri.partition(":")
    if colon and scheme in SOURCES:
        return scheme, location
    place = shown(uri).removeprefix("…@")
    known = ", ".join(f"{name}:" for name in SOURCES)
    expected = f"{place!r} is not a source; expected one of {known}"
    if colon and scheme.lower() in MISSING:
        raise SourceError(f"{scheme.lower()}: is not a source: {MISSING[scheme.lower()]} ({known})")
    raise SourceError(f"{expected}; {_advice(uri, place)}")


def _advice(uri: str, place: str) -> str:
    scheme, colon, location = uri.partition(":")
    if uri in SOURCES:
        return f"write {uri}: with its colon"
    if uri in MISSING:
        return MISSING[uri]
    if uri.isdigit() or uri.startswith("/dev/"):
        return f"for a camera write v4l2:{uri}"
    import difflib  # noqa: PLC0415 - 0.2 MiB, for a mistake only

    close = difflib.get_close_matches(scheme.lower(), SOURCES, n=1)
    if colon and "/" not in scheme and close:
        return f"did you mean {close[0]}:{_place(location)}"
    return f"for a file write file:{place}"


def _function(row: Row, name: str) -> Any:  # noqa: ANN401 - a row says what it is
    try:
        return getattr(importlib.import_module(row.module), name)
    except ImportError as error:
        raise DependencyError(
            f"{row.module}: cannot import {error.name}; install edge-vision again"
        ) from error
