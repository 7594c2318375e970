"""What a source's location names: a path, and whether anything lies there; or a pipeline."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

from edge.errors import SourceError

# Scheme: what it reads.
FILE_SCHEMES = {
    "file": "a video, an image or a folder of images",
    "images": "a folder of images",
    "replay": "a recording of edge record",
    "imx500": "a network of an AI Camera, such as /usr/share/imx500-models/NAME_pp.rpk",
}


def find(scheme: str, location: str) -> Path:
    """Return the path of what is there; nothing is opened.

    Args:
        scheme: Of `FILE_SCHEMES`.
        location: A path as it is, or what follows the colon in a URL of the form `file:///abs/path`.

    Raises:
        SourceError: There is nothing, or it cannot be looked at, or it is neither a file nor a
            folder, or no folder where only a folder will do.
    """
    path = _path(scheme, location)
    expected = FILE_SCHEMES[scheme]
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise SourceError(
            f"{path}: expected {expected}, found nothing; check the path with ls"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        reason = error.strerror if isinstance(error, OSError) else error
        raise SourceError(f"{path}: cannot be read ({reason}); check it with ls -l") from error
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        # Reading a pipe would wait for ever for somebody to write.
        raise SourceError(
            f"{path}: expected {expected}, found a pipe or a device; copy it to a file first"
            + (", or write v4l2: for a camera" if stat.S_ISCHR(mode) else "")
        )
    if scheme == "images" and not stat.S_ISDIR(mode):
        raise SourceError(f"{path}: expected {expected}, found a file; write file:{location}")
    return path


def pipeline_name(location: str) -> str:
    """Return what may be shown of `gst:` and a pipeline: its first word, up to a sign of a URL."""
    found = re.match(r"\s*([\w-]*)", location)
    return f"gst:{found[1] if found else ''}"


def anchored(uri: str, folder: Path) -> str:
    """Return a source's URI with the path of a file absolute: `~`, or else from a folder.

    URLs such as `file:///a%20b`, and what is no file, stay as they are.
    """
    scheme, _, location = uri.partition(":")
    if scheme not in FILE_SCHEMES or not location or "://" in location or location[:2] == "//":
        return uri
    return f"{scheme}:{folder / _expanded(location)}"


def _expanded(location: str) -> Path:
    # `Path.expanduser` raises where there is no such user; that is then a file's own name.
    return Path(os.path.expanduser(location))  # noqa: PTH111


def _path(scheme: str, location: str) -> Path:
    if not location:
        raise SourceError(f"{scheme}: needs a path after its colon; write {scheme}:PATH")
    if "://" in location:
        raise SourceError(
            f"{scheme}: reads files of this machine, found the URL of a "
            f"{location.partition(':')[0]} stream; write {scheme}:PATH"
        )
    if not location.startswith("//"):
        return _expanded(location)
    try:
        url = urlsplit(f"{scheme}:{location}")
    except ValueError as error:
        raise SourceError(
            f"{scheme}:{location}: expected a URL such as {scheme}:///folder/name, found another "
            f"({error}); write {scheme}:PATH"
        ) from error
    host = url.netloc.rpartition("@")[2]
    if url.netloc not in ("", "localhost"):
        raise SourceError(
            f"{scheme}://{host} names the host {host!r}, but files are read here only; "
            f"write {scheme}:///{host}{url.path} or {scheme}:PATH"
        )
    return Path(unquote(url.path, errors="surrogateescape"))
