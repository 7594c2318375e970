"""The path that a source's location names, and whether anything lies there."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from edge.errors import SourceError

# Scheme: what it reads.
FILE_SCHEMES = {
    "file": "a video, an image or a folder of images",
    "images": "a folder of images",
}


def find(scheme: str, location: str) -> Path:
    """Return the path of what is there; nothing is opened.

    Args:
        scheme: Of `FILE_SCHEMES`.
        location: A path as it is, or what follows the colon in a URL of the form `file:///abs/path`.

    Raises:
        SourceError: There is nothing, or it cannot be looked at, or it is no folder where only a
            folder will do.
    """
    path = _path(scheme, location)
    expected = FILE_SCHEMES[scheme]
    try:
        path.stat()
        is_folder = path.is_dir()
    except FileNotFoundError as error:
        raise SourceError(
            f"{path}: expected {expected}, found nothing; check the path with ls"
        ) from error
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be read ({error.strerror}); check it with ls -l"
        ) from error
    if scheme == "images" and not is_folder:
        raise SourceError(f"{path}: expected {expected}, found a file; write file:{location}")
    return path


def _path(scheme: str, location: str) -> Path:
    if not location:
        raise SourceError(f"{scheme}: needs a path after its colon; write {scheme}:PATH")
    if not location.startswith("//"):
        return Path(location).expanduser()
    url = urlsplit(f"{scheme}:{location}")
    if url.netloc not in ("", "localhost"):
        raise SourceError(
            f"{scheme}:{location} names the host {url.netloc!r}, but files are read here only; "
            f"write {scheme}:///{url.netloc}{url.path} or {scheme}:PATH"
        )
    return Path(unquote(url.path))
