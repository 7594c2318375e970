"""A start under a service manager: counted, and put off in safe mode where too many failed.

Safe mode has no camera and no model, but says where the device is stuck, and has a way back.
"""

from __future__ import annotations

import logging
import queue
import signal
import sys
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from edge.config.paths import state_folder
from edge.config.reading import load_sound_part
from edge.errors import EdgeError
from edge.messages.envelope import (
    OFFLINE,
    SCHEMA_VERSION,
    Message,
    camera_status_topic,
    command_topic,
    reply_topic,
)
from edge.service.life import HealthFile, Life, mode_message
from edge.service.notify import STOPPING, WELL, from_environment
from edge.service.release import installed
from edge.service.starts import Starts, Voice
from edge.terminal.signals import ENDING, handling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from edge.service.notify import Notifier

log = logging.getLogger("edge.service")

TOO_EARLY = "a reload was asked for before the start was over; ask again if a file changed"
LOOK_EVERY_S = 1.0
DRAIN_S = 0.5


def guarded(
    start: Callable[[Life], None], config: Path, *, files: Iterable[Path] = (), waits: bool = True
) -> None:
    """Make a start, after a pause in safe mode where the last ones failed.

    Args:
        start: Runs until the end.
        config: The configuration's file; what is right of it says which broker is told.
        files: Others that the start depends on.
        waits: Whether there is a pause.

    Raises:
        EdgeError: As the start.
    """
    settings = load_sound_part(config)
    own = filter(None, (settings.model.file, settings.model.description))
    starts = Starts(state_folder(), [config, *files, *own])
    notifier, voice = from_environment(), Voice.of(settings)
    leave = partial(_leave, starts, notifier)
    with handling({signal.SIGTERM: leave, signal.SIGHUP: partial(log.warning, TOO_EARLY)}):
        if waits and starts.are_too_many:
            spoken = starts.kept.speaks.unless_sound(config, voice)
            if not _wait(starts, spoken, notifier):
                starts.forget()
                return
        starts.begin()
        place = installed(config)
        health = HealthFile(place.name if place else "")
        life = Life(notifier, on_sound=lambda: starts.forget(voice), health=health)
        try:
            start(life)
        except Exception as error:
            told = f"{type(error).__name__}; the journal has its traceback"
            if not life.is_sound:
                starts.fail(str(error) if isinstance(error, EdgeError) else told)
            raise
        starts.forget()


def _leave(starts: Starts, notifier: Notifier) -> NoReturn:
    """End a start that is still at work: nothing has failed."""
    notifier.tell(STOPPING)
    starts.forget()
    sys.exit(0)


def _wait(starts: Starts, voice: Voice, notifier: Notifier) -> bool:
    """Wait until a start is worth another try; return False for the end of the program.

    That is after a pause, when one of its files has changed, on SIGHUP, or when the command
    `reload` comes.
    """
    wishes: queue.SimpleQueue[str] = queue.SimpleQueue()
    handlers = dict.fromkeys(ENDING, partial(wishes.put, ""))
    handlers[signal.SIGHUP] = partial(wishes.put, "a reload was asked for")
    log.error(
        "safe mode: %d starts in a row failed; no camera and no model until one of the files has "
        "changed, a reload, or in %.0f min; the last one: %s",
        *(starts.kept.failed, starts.pause_s / 60, starts.kept.reason),
    )
    with handling(handlers), _speaking(starts, voice, wishes.put):
        why = _wish(starts, notifier, wishes)
    if why:
        log.warning("safe mode: starting again: %s", why)
    return bool(why)


def _wish(starts: Starts, notifier: Notifier, wishes: queue.SimpleQueue[str]) -> str:
    """Return why another start is to be made; empty for the end."""
    until_s = time.monotonic() + starts.pause_s
    notifier.ready(f"safe mode, {starts.kept.failed} starts failed: {starts.kept.reason}")
    while time.monotonic() < until_s:
        notifier.tell(WELL)
        if starts.have_changed():
            return "a file has changed"
        try:
            return wishes.get(timeout=LOOK_EVERY_S)
        except queue.Empty:
            continue
    return "the pause is over"


@contextmanager
def _speaking(starts: Starts, voice: Voice, wish: Callable[[str], object]) -> Iterator[None]:
    """Say it to the broker for the length of the block, where one is known."""
    from edge.sinks.registry import open_sinks  # noqa: PLC0415 - once signals are minded

    sink: Any = None  # the broker's, which hears as well
    try:
        sink = open_sinks([voice.mqtt], voice.device)[0] if voice.mqtt else None
    except EdgeError as error:
        log.error("safe mode: the broker is not told: %s", error)  # noqa: TRY400 - a sentence
    if sink is None:
        yield
        return
    kept, device = starts.kept, voice.device
    more = {"reason": kept.reason, "failed_starts": kept.failed, "retry_in_s": starts.pause_s}

    def answer(topic: str, payload: bytes) -> None:
        name = topic.rpartition("/")[2]
        sink.send(_reply(device, name, payload))
        if name == "reload":
            wish("the command reload came")

    # Heard before it is told: who reads of safe mode may send a command at once.
    sink.subscribe(command_topic(device), answer)
    sink.send(mode_message(device, "safe", **more))
    for camera in voice.cameras:
        topic = camera_status_topic(device, camera)
        sink.send(Message(topic, OFFLINE, retain=True, policy="state"))
    try:
        yield
    finally:
        sink.close(DRAIN_S)


def _reply(device: str, name: str, payload: bytes) -> Message:
    """Return the answer to a command: `reload` is done, the others have to wait."""
    from edge.commands import id_of  # noqa: PLC0415 - of all that a run imports, once asked

    is_reload = name == "reload"
    said = "starting again" if is_reload else "not now: safe mode; send reload to start again"
    fields = {"schema_version": SCHEMA_VERSION, "device": device, "id": id_of(payload)}
    fields |= {"name": name, "ok": is_reload, "message": said, "settings": {}}
    return Message(reply_topic(device, name), msgspec.json.encode(fields), policy="event")
