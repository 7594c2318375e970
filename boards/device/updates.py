"""The switch from one release to another, watched, and taken back where the new one is not well.

`pending.json` stands from before the switch until the new release has proved good. Whoever finds it
after a power cut gives that release its minute once more, and takes it back the next time.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from boards.device import files, health, releases, system
from boards.device.place import SERVICE, read_json, run, write_json
from edge.errors import BoardError

if TYPE_CHECKING:
    from boards.device.place import Place

PENDING, RESULT = "pending.json", "update.json"
REQUEST = "update/request.json"


class Unwell(BoardError):  # noqa: N818 - as it is said
    """A first release is installed and runs, but nothing came of it yet."""


def switch(place: Place, name: str, *, is_asked: bool = False) -> None:
    """Let a release run.

    Args:
        place: The board.
        name: Of the release, which is there and whole.
        is_asked: The service asked for it.

    Raises:
        BoardError: It is not well, and the one before runs again; or `Unwell`: there is none.
    """
    before, older = (releases.running(link) for link in (place.current, place.previous))
    pending = {"new": name, "old": before, "older": older, "is_asked": is_asked, "resumed": False}
    system.prepare(place, name)
    if before:
        write_json(place.state / PENDING, pending)
        releases.switch(place.previous, before)
    releases.switch(place.current, name)
    system.adopt(place)
    place.say(f"runs {releases.version(place, name)}; before: {releases.version(place, before)}")
    _judge(place, pending, is_running=False)


def back(place: Place) -> None:
    """Let the release before run again, watched as any other."""
    place.need_root()
    resume(place)
    before = releases.running(place.previous)
    if not before:
        raise BoardError(f"expected a release before, found none at {place.own(place.previous)}")
    switch(place, before)


def resume(place: Place) -> None:
    """End what a power cut interrupted; the caller holds the lock."""
    pending = read_json(place.state / PENDING)
    if not pending:
        files.delete(place.state / PENDING)  # one that cannot be read was never whole
        return
    if releases.running(place.current) != pending["new"]:
        releases.switch(place.previous, pending["older"])
        said = "the power was cut before the switch; the old one runs"
        _end(place, pending, said, state="interrupted")
        return
    try:
        if pending["resumed"]:
            _take_back(place, pending, "the power was cut twice while it was watched")
        write_json(place.state / PENDING, pending | {"resumed": True})
        _judge(place, pending, is_running=True)
    except BoardError as error:
        place.say(str(error))
    except KeyboardInterrupt:  # which says nothing against it, as a board that went down may
        write_json(place.state / PENDING, pending)
        raise


def report(
    place: Place,
    state: str,
    message: str,
    *,
    is_asked: bool = False,
    **more: Any,  # noqa: ANN401 - as JSON has it
) -> None:
    """Write how an update goes, or went: the service publishes it.

    Args:
        place: The board.
        state: `working`, `watching`, or how it ended.
        message: A sentence.
        is_asked: It answers the same request as the report before.
        more: What else is to be said.
    """
    request = read_json(place.state / RESULT).get("request") if is_asked else None
    fields = {"state": state, "message": message, "at_utc_s": round(time.time())}
    runs = {"release": releases.running(place.current), "request": request}
    write_json(place.state / RESULT, fields | runs | more)


def forget_request(place: Place) -> None:
    """Take the request away, whatever the service has put in its place."""
    path = place.service_state / REQUEST
    try:
        with files.held(path.parent) as folder:
            files.take_away(folder / path.name)
    except FileNotFoundError:
        return
    except NotADirectoryError:  # its folder is a link
        files.take_away(path.parent)


def _judge(place: Place, pending: dict[str, Any], *, is_running: bool) -> None:
    """Start the new release and watch it."""
    said = f"runs {releases.version(place, pending['new'])}, on probation"
    report(place, "watching", said, is_asked=pending["is_asked"])
    try:
        system.reload(place)
        fault = _start(place, name=pending["new"], is_running=is_running)
        fault = fault or (health.wait(place, pending["new"]) if place.is_live else "")
    except BoardError as error:
        fault = str(error)
    except KeyboardInterrupt:
        place.say(
            f"{said}, and is not watched to its end; the next boot, install or update does that"
        )
        raise
    if fault and pending["old"]:
        _take_back(place, pending, fault)
    if not fault:
        system.unlink_others(place, pending["new"])
        releases.prune(place)
    name = releases.version(place, pending["new"])
    said = f"{fault}; look at: journalctl -u {SERVICE} -n 30" if fault else ""
    _end(
        place, pending, f"{name} runs{said and ', but '}{said}", state="unwell" if fault else "done"
    )
    if fault:
        raise Unwell(f"{name} is installed and runs on, but {said}")


def _start(place: Place, *, name: str, is_running: bool) -> str:
    # At boot it is started anyway; but behind an update that was killed the one before still runs.
    if is_running and health.release(place) in ("", name):
        return place.run_live("systemctl", "start", SERVICE)
    return system.restart(place)


def _take_back(place: Place, pending: dict[str, Any], fault: str) -> None:
    """Let the release before run again.

    Raises:
        BoardError: Always, with why.
    """
    why = f"{fault}{_last_words(place)}"
    system.prepare(place, pending["old"])
    releases.switch(place.current, pending["old"])
    releases.switch(place.previous, pending["older"])
    new, old = (releases.version(place, pending[key]) for key in ("new", "old"))
    said = f"{new} was taken back, {old} runs again: {why}"
    system.unlink_others(place, pending["old"])
    system.reload(place)
    if failed := system.restart(place):
        said += f"; and that one could not be started: {failed}"
    releases.prune(place)
    _end(place, pending, said, state="rolled back")
    raise BoardError(said)


def _last_words(place: Place) -> str:
    """Return the last error that the service logged."""
    if not place.is_live:
        return ""
    said = run("sh", "-c", f"journalctl -u {SERVICE} -p err -n 1 -o cat --no-pager >&2; exit 1")
    return f"; its log: {said}" if said and "ended with status" not in said else ""


def _end(place: Place, pending: dict[str, Any], message: str, *, state: str) -> None:
    """Say how it went; the request goes before the stamp that says it is still at work."""
    report(place, state, message, is_asked=pending["is_asked"])
    if pending["is_asked"] and state != "interrupted":
        forget_request(place)
    files.delete(place.state / PENDING)
    if state in ("done", "interrupted"):  # the others are raised
        place.say(message)
