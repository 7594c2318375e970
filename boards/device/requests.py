"""An update that the service asked for: it has no rights, and may be anybody's by now.

What it wrote is read with care, the bundle must be signed, and root writes nothing in its folder.
"""

from __future__ import annotations

import os
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from boards.device import bundle as bundles
from boards.device import download, files, install, releases, updates
from boards.device.place import read_json
from edge.errors import BoardError

if TYPE_CHECKING:
    from pathlib import Path

    from boards.device.place import Place

# A request whose carrying out ends the board again and again is not for a fourth time.
MOST_TRIES = 3
JUDGED = ("rolled back", "unwell")


def answer(place: Place) -> None:
    """End what a power cut interrupted, then carry out the request that waits, if one does."""
    place.need_root()
    path = place.service_state / updates.REQUEST
    with files.locked(place.lock, waits=True):
        updates.resume(place)
        if not os.path.lexists(path):
            return
        request = read_json(path)
        before = read_json(place.state / updates.RESULT).get("request")
        known = sha256(repr(sorted(request.items())).encode()).hexdigest()[:12]
        tries = before["tries"] + 1 if before and before["digest"] == known else 1
        fields = {"id": request.get("id"), "digest": known, "tries": tries}
        updates.report(place, "working", "an update was asked for", request=fields)
        try:
            _carry_out(place, request, tries)
        except BoardError as error:
            if _state(place) not in JUDGED:  # else it has been said
                place.say(str(error))
                updates.report(place, "failed", str(error), is_asked=True)
        except Exception as error:
            updates.report(place, "failed", f"failed: {error!r}", is_asked=True)
            files.delete(path)
            raise
        files.delete(path)


def _carry_out(place: Place, request: dict[str, Any], tries: int) -> None:
    if tries > MOST_TRIES:
        raise BoardError(f"the power was cut {MOST_TRIES} times while it was carried out")

    def say(message: str) -> None:
        place.say(message)
        if _state(place) == "working":  # else it is watched, or judged
            updates.report(place, "working", message, is_asked=True)

    def tell(percent: int) -> None:
        updates.report(place, "working", "downloads", is_asked=True, percent=percent)

    telling = replace(place, say=say)
    with files.told():
        bundle = _found(place, request, tell)
        with bundles.opened(place, bundle, must_be_signed=True) as opened:
            name = install.install(telling, opened, install.Given(is_asked=True))
    if _state(place) == "working":  # nothing was to be done
        said = releases.version(place, name)
        updates.report(place, "done", f"{said} runs already", is_asked=True)


def _state(place: Place) -> str:
    return str(read_json(place.state / updates.RESULT).get("state"))


def _found(place: Place, request: dict[str, Any], tell: Any) -> Path:  # noqa: ANN401 - a callable
    url, name = request.get("url"), request.get("file")
    if isinstance(url, str):
        return download.fetch(place, url, digest=str(request.get("sha256") or ""), told=tell)
    folder = place.service_state / "update"
    if not isinstance(name, str) or "/" in name or not files.is_file(folder / name):
        raise BoardError(
            f"expected a bundle, a .tar, in {place.own(folder)}, found no {name!r}; copy it "
            "there, or name a URL"
        )
    return folder / name
