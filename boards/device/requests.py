"""An update that the service asked for: it has no rights, and may be anybody's by now.

What it wrote is read with care, the bundle must be signed, and root writes nothing in its folder.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager, suppress
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from boards.device import bundle as bundles
from boards.device import download, files, install, releases, updates
from boards.device.place import read_json
from edge.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from boards.device.place import Place

# A request whose carrying out ends the board again and again is not for a fourth time.
MOST_TRIES = 3
MOST_BYTES = 64 << 10  # of a request
JUDGED = ("rolled back", "unwell")


def answer(place: Place) -> None:
    """End what a power cut interrupted, then carry out the request that waits, if one does."""
    place.need_root()
    with files.locked(place.lock, waits=True):
        releases.clean(place)  # what filled the disk goes before anything is written
        updates.resume(place)
        if not os.path.lexists(place.service_state / updates.REQUEST):
            return
        try:
            _answer(place)
        except Exception as error:
            with suppress(OSError):
                updates.report(place, "failed", f"failed: {error!r}", is_asked=True)
            updates.forget_request(place)
            raise
        updates.forget_request(place)


def _answer(place: Place) -> None:
    request: dict[str, Any] = {}
    path = place.service_state / updates.REQUEST
    with suppress(OSError), files.held(path.parent) as folder:
        request = read_json(folder / path.name, most_bytes=MOST_BYTES)
    before = read_json(place.state / updates.RESULT).get("request")
    known = sha256(repr(sorted(request.items())).encode()).hexdigest()[:12]
    tries = before["tries"] + 1 if before and before["digest"] == known else 1
    fields = {"id": request.get("id"), "digest": known, "tries": tries}
    updates.report(place, "working", "an update was asked for", request=fields)
    try:
        _carry_out(place, request, tries)
    except BoardError as error:
        if _state(place) not in JUDGED:  # else it has been said
            said = re.sub(r"/proc/self/fd/\d+", place.own(path.parent), str(error))
            place.say(said)
            updates.report(place, "failed", said, is_asked=True)


def _carry_out(place: Place, request: dict[str, Any], tries: int) -> None:
    if tries > MOST_TRIES:
        raise BoardError(f"the power was cut {MOST_TRIES} times while it was carried out")

    def say(message: str) -> None:
        place.say(message)
        if _state(place) == "working":  # else it is watched, or judged
            updates.report(place, "working", message, is_asked=True)

    telling = replace(place, say=say)
    with (
        files.told(),
        _found(place, request) as path,
        bundles.opened(place, path, is_asked=True) as opened,
    ):
        name = install.install(telling, opened, install.Given(is_asked=True))
    if _state(place) == "working":  # nothing was to be done
        said = releases.version(place, name)
        updates.report(place, "done", f"{said} runs already", is_asked=True)


def _state(place: Place) -> str:
    return str(read_json(place.state / updates.RESULT).get("state"))


@contextmanager
def _found(place: Place, request: dict[str, Any]) -> Iterator[Path]:
    """Give the file that is asked for."""

    def tell(percent: int) -> None:
        updates.report(place, "working", "downloads", is_asked=True, percent=percent)

    url, name = request.get("url"), request.get("file")
    if isinstance(url, str):
        digest = str(request.get("sha256") or "")
        with download.fetched(place, url, digest=digest, told=tell) as path:
            yield path
        return
    folder = place.service_state / "update"
    with files.held(folder) as held:
        if not isinstance(name, str) or "/" in name or not files.is_file(held / name):
            raise BoardError(
                f"expected a bundle, a .tar, in {place.own(folder)}, found no {name!r}; copy it "
                "there, or name a URL"
            )
        yield held / name
