"""Fetching a bundle: whole, no larger than it may be, and with the digest that was named."""

from __future__ import annotations

import http.client
import urllib.request
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from boards.device import files
from boards.device.bundle import MOST_BYTES
from edge.errors import BoardError, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from boards.device.place import Place

TIMEOUT_S = 30.0
SCHEMES = ("http://", "https://")


@contextmanager
def fetched(
    place: Place, url: str, *, digest: str = "", told: Callable[[int], object] = lambda _: None
) -> Iterator[Path]:
    """Give the bundle of a URL as a file, for the length of the block.

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
    try:
        found = _fetch(place, url, path, told=told)
        if digest and found != digest.lower():
            raise BoardError(
                f"{shown(url)}: expected the sha256 {digest[:12]}…, found {found[:12]}…; it was "
                "damaged on its way, or is another file"
            )
        yield path
    finally:
        files.delete(path)


def _fetch(place: Place, url: str, path: Path, *, told: Callable[[int], object]) -> str:
    """Write what a URL gives into a file; return its sha256."""
    known = sha256()
    try:
        with _answer(url) as response:
            place.need_room(response.length or 0)
            files.write_new(path, _chunks(place, response, told=told, known=known.update))
    except HTTPError as error:
        raise BoardError(f"{shown(url)}: expected a bundle, found status {error.code}") from error
    except (
        URLError,
        ConnectionError,
        TimeoutError,
        http.client.HTTPException,
        ValueError,
    ) as error:
        # What does not parse is repeated by its error, with a password that stands in it.
        is_odd = isinstance(error, (ValueError, http.client.InvalidURL))
        why = "it is no URL" if is_odd else str(getattr(error, "reason", error))
        why = why if why.isprintable() else repr(why)  # as a server that speaks no HTTP said it
        raise BoardError(f"{shown(url)}: the bundle cannot be fetched: {why}; try again") from error
    return known.hexdigest()


def _answer(url: str) -> http.client.HTTPResponse:
    if "@" in urlsplit(url).netloc:  # urllib takes it for a part of the host's name
        raise URLError("a user and a password in a URL are not taken; leave them out")
    answer: http.client.HTTPResponse = urllib.request.urlopen(url, timeout=TIMEOUT_S)  # noqa: S310 - one of SCHEMES
    return answer


def _chunks(
    place: Place,
    response: http.client.HTTPResponse,
    *,
    told: Callable[[int], object],
    known: Callable[[bytes], object],
) -> Iterator[bytes]:
    size, had, last = response.length or 0, 0, 0  # 0 where the server does not tell
    while chunk := response.read(files.CHUNK_BYTES):
        had += len(chunk)
        if had > MOST_BYTES:
            raise BoardError(f"expected a bundle of up to {MOST_BYTES >> 30} GiB, found more")
        place.need_room(len(chunk))
        known(chunk)
        yield chunk
        if size and (percent := 10 * (10 * had // size)) > last:
            last = percent
            told(percent)
    if had < size:
        raise http.client.IncompleteRead(b"", size - had)
