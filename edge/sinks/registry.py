"""The table of sinks, and the way from the sections of a configuration to open ones."""

from __future__ import annotations

import importlib
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.config.mqtt import Mqtt
from edge.config.sink import AnySink, Command, Jsonl, Webhook
from edge.errors import EdgeError
from edge.sinks.fanout import Fanout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.sinks.fanout import Sink


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of sink.

    Attributes:
        name: For people; a number follows where there are several.
        receiver: Who takes its messages.
        module: Imported when the first of its kind is opened or checked.
        opener: Of the module: `(section, *, name) -> Sink`; nobody is waited for.
        check: Of the module: `(section) -> None`; raises `ConfigError` for what the opener would
            refuse, touches no network and makes no file.
        takes_device: The opener asks for the device's name as well.
    """

    name: str
    receiver: str
    module: str
    opener: str
    check: str
    takes_device: bool = False


SINKS = {
    Mqtt: Row(
        "mqtt", "the broker", "edge.sinks.mqtt", "open_mqtt", "check_mqtt", takes_device=True
    ),
    Jsonl: Row("jsonl", "what reads the results", "edge.sinks.jsonl", "open_jsonl", "check_jsonl"),
    Webhook: Row(
        "webhook", "the server of its url", "edge.sinks.webhook", "WebhookSink", "check_webhook"
    ),
    Command: Row("command", "its program", "edge.sinks.command", "CommandSink", "check_command"),
}  # fmt: skip


def open_sinks(
    sections: Sequence[Mqtt | AnySink], device: str, *, taken: Sequence[str] = ()
) -> list[Sink]:
    """Return the sinks of a configuration; the broker is not waited for.

    Args:
        sections: One for each.
        device: Its name.
        taken: Names that other sinks have.

    Raises:
        ConfigError: A file that one of them needs can't be used.
    """
    names = set(taken)
    sinks: list[Sink] = []
    with ExitStack() as undo:
        for section in sections:
            row = SINKS[type(section)]
            name, number = row.name, 1
            while name in names:
                number += 1
                name = f"{row.name} {number}"
            names.add(name)
            more = {"device": device} if row.takes_device else {}
            sinks.append(_function(row, row.opener)(section, name=name, **more))
            undo.callback(sinks[-1].close, 0)
        undo.pop_all()
    return sinks


def check_sink(section: Mqtt | AnySink) -> None:
    """Refuse what opening a sink would refuse; the network is not touched.

    Raises:
        ConfigError: With the sentence that opening it would end with.
    """
    row = SINKS[type(section)]
    _function(row, row.check)(section)


def receiver(name: str) -> str:
    """Return who takes the messages of a sink of this name."""
    kind = name.partition(" ")[0]
    return next(row.receiver for row in SINKS.values() if row.name == kind)


def _function(row: Row, name: str) -> Any:  # noqa: ANN401 - an opener or a check
    return getattr(importlib.import_module(row.module), name)


class OpenSinks:
    """The sinks of a configuration, open, and those of another one later.

    Attributes:
        fanout: Sends to all of them.
    """

    def __init__(self, sections: Sequence[Mqtt | AnySink], device: str) -> None:
        self._device = device
        sinks = open_sinks(sections, device)
        self._open = list(zip(sections, sinks, strict=True))
        self.fanout = Fanout(sinks)

    def follow(self, sections: Sequence[Mqtt | AnySink], *, timeout_s: float) -> list[str]:
        """Close and open until those of another configuration are open; what is in both stays.

        Args:
            sections: Of all that are wanted; they were checked.
            timeout_s: For each that is closed, to deliver what waits.

        Returns:
            A sentence for each thing that went wrong.
        """
        kept = [each for each in self._open if each[0] in sections]
        gone = [each for each in self._open if each[0] not in sections]
        new = [section for section in sections if section not in [each[0] for each in kept]]
        taken = [sink.name for _, sink in kept]
        faults: list[str] = []

        def opened() -> list[Sink]:
            wanted = new
            try:
                sinks = open_sinks(wanted, self._device, taken=taken)
            except EdgeError as error:
                faults.append(f"{error}; the sinks before go on")
                wanted = [section for section, _ in gone]
                sinks = open_sinks(wanted, self._device, taken=taken)
            self._open = [*kept, *zip(wanted, sinks, strict=True)]
            return sinks

        if gone or new:
            left = self.fanout.exchange([sink for _, sink in gone], opened, timeout_s=timeout_s)
            if left:
                faults.append(f"{left} messages were not delivered by the sinks before")
        return faults
