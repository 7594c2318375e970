"""Fetching a bundle: whole, no larger than it may be, and with the digest that was named."""

from __future__ import annotations

import http.client
import urllib.request
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError

from boards.device import environments, files
from boards.device.bundle import MOST_BYTES
from edge.errors import BoardError, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from boards.device.place import Place

TIMEOUT_S = 30.0
SCHEMES = ("http://", "https://")


def fetch(
    place: Place, url: str, *, digest: str = "", told: Callable[[int], object] = lambda _: None
) -> Path:
    """Return where the bundle of a URL lies now, in a file that the next download replaces.

    Args:
        place: The board.
        url: Of http or https.
        digest: Its sha256; empty where nobody named it.
        told: The percentage that is there, in tens.

    Raises:
        BoardError: It cannot be fetched, or is another one.
    """
    if not url.startswith(SCHEMES):
        raise BoardError(f"expected a URL of http or https, found {shown(url)!r}; name one")
    path = place.opt / f"download{files.SCRATCH}"
    files.make_folder(place.opt)
    known = sha256()
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:  # noqa: S310 - as above
            size = int(response.headers.get("Content-Length") or 0)
            environments.need_room(place, size)
            files.write_new(path, _chunks(response, size, told=told, known=known.update))
    except HTTPError as error:
        raise BoardError(f"{shown(url)}: expected a bundle, found status {error.code}") from error
    except (URLError, TimeoutError, http.client.HTTPException, ValueError) as error:
        # What does not parse is repeated by its error, with a password that stands in it.
        is_odd = isinstance(error, (ValueError, http.client.InvalidURL))
        why = "it is no URL" if is_odd else getattr(error, "reason", error)
        raise BoardError(f"{shown(url)}: the bundle cannot be fetched: {why}; try again") from error
    if digest and known.hexdigest() != digest.lower():
        files.delete(path)
        raise BoardError(
            f"{shown(url)}: expected the sha256 {digest[:12]}…, found {known.hexdigest()[:12]}…; "
            "it was damaged on its way, or is another file"
        )
    return path


def _chunks(
    response: http.client.HTTPResponse,
    size: int,
    *,
    told: Callable[[int], object],
    known: Callable[[bytes], object],
) -> Iterator[bytes]:
    had = last = 0
    while chunk := response.read(files.CHUNK_BYTES):
        had += len(chunk)
        if had > MOST_BYTES:
            raise BoardError(f"expected a bundle of up to {MOST_BYTES >> 30} GiB, found more")
        known(chunk)
        yield chunk
        if size and (percent := 10 * (10 * had // size)) > last:
            last = percent
            told(percent)
    if had < size:
        raise http.client.IncompleteRead(b"", size - had)
