"""All that changes while frames run, one request after another, on the thread `edge-control`.

A signal, a changed file, a message of the broker, the preview page and Home Assistant's entities
ask in the same way. A request that fails changes nothing, and its answer says why.
"""

from __future__ import annotations

import logging
import queue
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from edge import reload
from edge.errors import ConfigError, EdgeError
from edge.messages.envelope import SCHEMA_VERSION, Message
from edge.record import Ratio, Record, Text, Unsound, read_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from edge.app import Parts
    from edge.config.sections import Config

log = logging.getLogger("edge")

THREAD_NAME = "edge-control"
JOIN_TIMEOUT_S = 10.0
# More than a person asks for; a zone's polygon takes 2 KiB.
MOST_WAITING, MOST_BYTES = 16, 64 * 1024


class Arguments(Record, frozen=True, kw_only=True):
    """What every request may say.

    Attributes:
        id: Comes back in the answer.
    """

    id: Annotated[Text, Meta(max_length=128)] | int | None = None


class ThresholdArguments(Arguments, frozen=True, kw_only=True):
    """Of `threshold`."""

    score_threshold: Ratio


class ReloadArguments(Arguments, frozen=True, kw_only=True):
    """Of `reload`."""


@dataclass(frozen=True, slots=True)
class Command:
    """One kind of request: what it takes, and what it does, which returns a sentence of it."""

    arguments: type[Arguments]
    apply: Callable[[Control, Any], str]


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


@dataclass(frozen=True, slots=True)
class _Request:
    name: str
    arguments: bytes
    answer: Callable[[Answer], object]


class Control:
    """Carries out requests while a pipeline runs; use it inside the `with` of its parts.

    Args:
        parts: What runs.
        reread: Reads the configuration again; `None` where it came from no file.
    """

    def __init__(self, parts: Parts, reread: Callable[[], Config] | None = None) -> None:
        self.parts = parts
        self.reread = reread
        self._requests: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._tell_settings()
        return self

    def __exit__(self, *_: object) -> None:
        self._requests.put(None)
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
        refusal = ""
        if self._requests.qsize() >= MOST_WAITING:
            refusal = f"{MOST_WAITING} requests wait already; ask again later"
        elif len(arguments) > MOST_BYTES:
            refusal = f"expected up to {MOST_BYTES} bytes, found {len(arguments)}; send less"
        if refusal:
            log.warning("%s: refused: %s", name, refusal)
            answer(Answer(None, name, ok=False, message=refusal))
            return
        self._requests.put(_Request(name, arguments or b"{}", answer))

    def settings(self) -> dict[str, Any]:
        """Return what holds now, as JSON has it."""
        return {"score_threshold": self.parts.score_threshold}

    def _run(self) -> None:
        while (request := self._requests.get()) is not None:
            try:
                request.answer(self._carry_out(request))
            except Exception:  # noqa: PERF203 - the asker's own; the next request is another's
                log.exception("%s: its answer could not be given", request.name)

    def _carry_out(self, request: _Request) -> Answer:
        own_id, ok = None, False
        try:
            command = _command(request.name)
            arguments = read_json(command.arguments, request.arguments)
            own_id = arguments.id
            message = command.apply(self, arguments)
            ok = True
            self._tell_settings()
            log.info("%s: %s", request.name, message)
        except (EdgeError, Unsound) as error:
            message = f"nothing changed: {error}"
            log.error("%s: %s", request.name, message)  # noqa: TRY400 - a sentence
        except Exception as error:  # one request must not end all that come after it
            message = f"failed: {type(error).__name__}: {error}; the log says where"
            log.exception("%s: failed", request.name)
        return Answer(own_id, request.name, ok=ok, message=message, settings=self.settings())

    def _tell_settings(self) -> None:
        if self.parts.publisher:
            device = self.parts.config.device.name
            fields = {"schema_version": SCHEMA_VERSION, "device": device, **self.settings()}
            topic, payload = f"edge/{device}/settings", msgspec.json.encode(fields)
            self.parts.publisher.send(Message(topic, payload, retain=True, policy="state"))


def _command(name: str) -> Command:
    if name not in COMMANDS:
        known = ", ".join(COMMANDS)
        raise ConfigError(f"expected a command of {known}, found {name[:40]!r}; send one of those")
    return COMMANDS[name]


def _threshold(control: Control, arguments: ThresholdArguments) -> str:
    config = control.parts.config
    model = config.model.replace(score_threshold=arguments.score_threshold)
    return reload.follow(control.parts, config.replace(model=model))


def _reload(control: Control, _: ReloadArguments) -> str:
    if control.reread is None:
        raise ConfigError("there is no file to read again; give edge run the path of one")
    return reload.follow(control.parts, control.reread())


COMMANDS = {
    "threshold": Command(ThresholdArguments, _threshold),
    "reload": Command(ReloadArguments, _reload),
}
