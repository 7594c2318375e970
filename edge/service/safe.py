"""Safe mode: no camera and no model, but a device that says where it is stuck, and a way back."""

from __future__ import annotations

import logging
import queue
import signal
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from edge.config.mqtt import Mqtt
from edge.errors import EdgeError
from edge.messages.envelope import OFFLINE, SCHEMA_VERSION, Message, camera_status_topic
from edge.record import Record, Unsound, read
from edge.service.life import mode_message
from edge.terminal.signals import ENDING, handling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

    from edge.config.sections import Config
    from edge.service.notify import Notifier
    from edge.service.starts import Starts

log = logging.getLogger("edge.service")

LOOK_EVERY_S = 1.0
DRAIN_S = 0.5


class Voice(Record, frozen=True):
    """What a device needs to speak, kept for when its configuration cannot be read.

    Attributes:
        device: Its name.
        cameras: Their names.
        mqtt: Its broker.
    """

    device: str = ""
    cameras: tuple[str, ...] = ()
    mqtt: Mqtt | None = None

    @classmethod
    def of(cls, config: Config) -> Self:
        """Return that of a configuration."""
        names = tuple(camera.name for camera in config.cameras)
        return cls(config.device.name, names, config.mqtt)

    def or_kept(self, fields: dict[str, Any]) -> Voice:
        """Return this one, or where it has no broker the one of the last good start."""
        try:
            return self if self.mqtt or not fields else read(Voice, fields)
        except Unsound:
            return self


def wait(starts: Starts, voice: Voice, notifier: Notifier) -> bool:
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
    with handling(handlers), _speaking(starts, voice.or_kept(starts.kept.speaks), wishes.put):
        why = _wish(starts, notifier, wishes)
    if why:
        log.warning("safe mode: starting again: %s", why)
    return bool(why)


def _wish(starts: Starts, notifier: Notifier, wishes: queue.SimpleQueue[str]) -> str:
    """Return why another start is to be made; empty for the end."""
    until_s = time.monotonic() + starts.pause_s
    notifier.ready(f"safe mode, {starts.kept.failed} starts failed: {starts.kept.reason}")
    while time.monotonic() < until_s:
        notifier.feed()
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
    sink = _opened(voice)
    if sink is None:
        yield
        return
    kept, device = starts.kept, voice.device
    more = {"reason": kept.reason, "failed_starts": kept.failed, "retry_in_s": starts.pause_s}
    sink.send(mode_message(device, "safe", **more))
    for camera in voice.cameras:
        topic = camera_status_topic(device, camera)
        sink.send(Message(topic, OFFLINE, retain=True, policy="state"))

    def answer(topic: str, payload: bytes) -> None:
        name = topic.rpartition("/")[2]
        sink.send(_reply(device, name, payload))
        if name == "reload":
            wish("the command reload came")

    sink.subscribe(f"edge/{device}/command/#", answer)
    try:
        yield
    finally:
        sink.close(DRAIN_S)


def _opened(voice: Voice) -> Any:  # noqa: ANN401 - the broker's sink, which hears as well
    from edge.sinks.registry import open_sinks  # noqa: PLC0415 - once signals are minded

    try:
        return open_sinks([voice.mqtt], voice.device)[0] if voice.mqtt else None
    except EdgeError as error:
        log.error("safe mode: the broker is not told: %s", error)  # noqa: TRY400 - a sentence
        return None


def _reply(device: str, name: str, payload: bytes) -> Message:
    """Return the answer to a command: `reload` is done, the others have to wait."""
    is_reload = name == "reload"
    said = "starting again" if is_reload else "not now: safe mode; send reload to start again"
    fields = {"schema_version": SCHEMA_VERSION, "device": device, "id": _id(payload), "name": name}
    fields |= {"ok": is_reload, "message": said, "settings": {}}
    return Message(f"edge/{device}/reply/{name}", msgspec.json.encode(fields), policy="event")


def _id(payload: bytes) -> str | int | None:
    try:
        given = msgspec.json.decode(payload).get("id")
    except (msgspec.DecodeError, UnicodeDecodeError, AttributeError, RecursionError):
        return None
    return given if isinstance(given, str | int) else None
