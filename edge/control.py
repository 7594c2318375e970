"""All that changes while frames run, one request after another, on the thread `edge-control`.

A signal, a changed file, a message of the broker, the preview page and Home Assistant's entities
ask in the same way. A request that fails changes nothing, and its answer says why.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from edge.commands import COMMANDS, RELOAD, Subject, command_of, id_of
from edge.config import overlay
from edge.errors import EdgeError
from edge.messages.envelope import (
    SCHEMA_VERSION,
    Message,
    command_topic,
    reply_topic,
    settings_topic,
    topic_matches,
)
from edge.record import Unsound, read_json
from edge.reload import FileWatch, retract
from edge.swap import ModelSwap, version

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typing_extensions import Self

    from edge.config.sections import Config
    from edge.messages.envelope import Received
    from edge.parts import Parts
    from edge.service.release import Release

log = logging.getLogger("edge")

THREAD_NAME = "edge-control"
# Whoever stops a service waits no longer; a model that is tried just now has its own limits.
JOIN_TIMEOUT_S = 1.0
# More than a person asks for; a zone's polygon takes 2 KiB.
MOST_WAITING, MOST_BYTES = 16, 64 * 1024
MOST_COMMANDS, COMMANDS_S = 30, 10.0
TICK_S = 1.0
# Where `edge install` keeps them.
RELEASES = "releases"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request.

    Attributes:
        id: The request's own.
        name: Of the command.
        ok: Whether it was done.
        message: A sentence: what was done, or what was expected.
        settings: What holds now.
    """

    id: str | int | None
    name: str
    ok: bool
    message: str
    settings: dict[str, Any] = field(default_factory=dict)


class Control:
    """Carries out requests while a pipeline runs; use it inside the `with` of its parts.

    Args:
        parts: What runs.
        reread: Reads the configuration again; `None` where it came from no file.
        file: That file.

    Attributes:
        subject: What is changed.
        told: Called on the thread `edge-control` whenever `settings` or `model_state` may have
            changed.
    """

    def __init__(
        self,
        parts: Parts,
        reread: Callable[[], Config] | None = None,
        *,
        file: Path | None = None,
    ) -> None:
        self.parts = parts
        self.told: list[Callable[[], object]] = []
        self._jobs: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self.swap = ModelSwap(parts, lambda job: [*map(self._jobs.put, (job, self._tell))])
        self.release: Release | None = None
        if file and file.resolve().parent.parent.name == RELEASES:
            from edge.service.release import Release  # noqa: PLC0415 - most runs are of none

            self.release = Release(file.resolve().parent)
        self.subject = Subject(parts, self.swap, reread, file, self.release)
        self._watch = FileWatch(file) if file else None
        self._heard_s: deque[float] = deque()
        self._is_subscribed = self._is_over = False
        # File of the model that waited when it was told last.
        self._waiting: str | None = None
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)

    def __enter__(self) -> Self:
        if self.subject.file:
            self.parts.cameras.pause(overlay.saved(self._device).paused, on=True)
        self._thread.start()
        self._jobs.put(self._tell)
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True  # what waits still is not begun
        self._jobs.put(None)
        self._thread.join(JOIN_TIMEOUT_S)

    def request(
        self,
        name: str,
        arguments: bytes = b"",
        *,
        answer: Callable[[Answer], object] = lambda _: None,
    ) -> None:
        """Have something changed; never waits, on any thread, in a signal handler too.

        Args:
            name: A key of `COMMANDS`.
            arguments: A JSON object; empty for none.
            answer: Told what became of it, most often on the thread `edge-control`.
        """
        if self._jobs.qsize() >= MOST_WAITING:
            said = f"{MOST_WAITING} requests wait already; ask again later"
        elif len(arguments) > MOST_BYTES:
            said = f"expected up to {MOST_BYTES} bytes, found {len(arguments)}; send less"
        else:
            self._jobs.put(lambda: answer(self._carry_out(name, arguments or b"{}")))
            return
        answer(Answer(None, name, ok=False, message=said))

    def hear(self, topic: str, payload: Received) -> None:
        """Take a command from the broker, and answer it there.

        Args:
            topic: Ends in the command's name.
            payload: Its arguments.
        """
        mqtt, heard_s, now_s = self.parts.config.mqtt, self._heard_s, time.monotonic()
        while heard_s and now_s - heard_s[0] >= COMMANDS_S:
            heard_s.popleft()
        if len(heard_s) == MOST_COMMANDS or not (mqtt and mqtt.commands):
            return
        heard_s.append(now_s)
        if len(heard_s) == MOST_COMMANDS:
            log.warning(
                "more than %d commands within %g s: further ones are not answered for a while",
                *(MOST_COMMANDS, COMMANDS_S),
            )
        name = topic.rpartition("/")[2]

        def answer(given: Answer) -> None:
            level = name if name in COMMANDS else "unknown"
            own = {"schema_version": SCHEMA_VERSION, "device": self._device}
            said = msgspec.json.encode({**own, **msgspec.to_builtins(given)})
            topics = {reply_topic(self._device, level): b""}
            wanted = payload.response_topic
            # What speaks for the device itself is not for others to have written; and no message
            # can go to a topic with a wildcard.
            if (
                wanted
                and not {"+", "#"} & {*wanted}
                and not topic_matches(f"edge/{self._device}/#", wanted)
            ):
                topics[wanted] = payload.correlation
            for each, correlation in topics.items():
                self._send(Message(each, said, policy="event", correlation=correlation))

        self.request(name, payload, answer=answer)

    def settings(self) -> dict[str, Any]:
        """Return what holds now, as JSON has it."""
        parts = self.parts
        paused = parts.cameras.paused
        names = [camera.name for camera in parts.config.cameras]
        return {
            "enabled": len(paused) < len(names),
            "paused": list(paused),
            "cameras": names,
            "score_threshold": parts.score_threshold,
            "zones": [zone.name for zone in parts.config.zones],
            "model": {"name": parts.model.description.name, **self.model_state()},
        }

    def model_state(self) -> dict[str, Any]:
        """Return which model runs, which other one waits in the folder `models`, and what is done.

        `latest_version` is `installed_version` where none waits; `available` is the argument `file`
        of the command `model` that would install it.
        """
        digest, newest = self.parts.model.description.digest, self.swap.waiting()
        installed = version(self.parts.config.model.file, digest)
        return {
            "digest": digest,
            "installed_version": installed,
            "latest_version": version(*newest) if newest else installed,
            "available": newest[0].name if newest else None,
            "in_progress": self.swap.in_progress or self.swap.is_on_probation,
        }

    @property
    def _device(self) -> str:
        return self.parts.config.device.name

    def _run(self) -> None:
        tick_at_s = 0.0
        while True:
            job: Callable[[], object] | None = self._tick
            if (left_s := tick_at_s - time.monotonic()) > 0:
                with contextlib.suppress(queue.Empty):
                    job = self._jobs.get(timeout=left_s)
            if job is None or self._is_over:
                return
            if job == self._tick:
                tick_at_s = time.monotonic() + TICK_S
            try:
                job()
            except EdgeError as error:
                log.error("%s", error)  # noqa: TRY400 - a sentence
            except Exception:  # the next request is another's
                log.exception("a request could not be carried out or answered")

    def _tick(self) -> None:
        was_on_probation = self.swap.is_on_probation
        self.swap.tick()
        retract(self.parts)
        for message in self.release.news(self._device) if self.release else ():
            self._send(message)
        is_over = was_on_probation and not self.swap.is_on_probation
        if is_over or self.model_state()["available"] != self._waiting:
            self._tell()
        if not self._watch or self.swap.is_on_probation:
            return
        if self.parts.config.device.watch_file and self._watch.has_changed():
            log.info("%s has changed", self.subject.file)
            self._carry_out(RELOAD, b"{}")

    def _carry_out(self, name: str, given: bytes) -> Answer:
        ok = False
        try:
            command = command_of(name)
            arguments = read_json(command.arguments, given)
            if command.takes_long:
                self.swap.in_progress = True
                self._tell()
            message = command.apply(self.subject, arguments)
            ok = True
            log.info("%s: %s", name, message)
        except (EdgeError, Unsound) as error:
            message = f"nothing changed: {error}".replace("\n", "; ")
            log.error("%s: %s", name, message)  # noqa: TRY400 - a sentence
        except Exception as error:  # one request must not end all that come after it
            message = f"failed: {type(error).__name__}: {error}; the log says where"
            log.exception("%s: failed", name)
        finally:
            self.swap.in_progress = False
        self._tell()
        own_id = id_of(given)
        return Answer(own_id, name, ok=ok, message=message, settings=self.settings())

    def _tell(self) -> None:
        """Tell of what holds now, and hear commands where they are wanted."""
        config, device = self.parts.config, self._device
        if config.mqtt and config.mqtt.commands and self.parts.sinks and not self._is_subscribed:
            self._is_subscribed = True
            self.parts.sinks.fanout.subscribe(command_topic(device), self.hear)
        settings = self.settings()
        self._waiting = settings["model"]["available"]
        fields = {"schema_version": SCHEMA_VERSION, "device": device, **settings}
        payload = msgspec.json.encode(fields)
        self._send(Message(settings_topic(device), payload, retain=True, policy="state"))
        for tell in self.told:
            tell()

    def _send(self, message: Message) -> None:
        if self.parts.publisher:
            self.parts.publisher.send(message)
