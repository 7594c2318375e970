"""The table of sinks, and the way from the sections of a configuration to open ones."""

from __future__ import annotations

import importlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.config.mqtt import Mqtt
from edge.config.sink import AnySink, Command, Jsonl, Webhook

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
            refuse, touches no network and makes no file. The broker's is that of its files.
        takes_device: The opener asks for the device's name as well.
    """

    name: str
    receiver: str
    module: str
    opener: str
    check: str = ""
    takes_device: bool = False


SINKS = {
    Mqtt: Row(
        "mqtt", "the broker", "edge.sinks.mqtt", "open_mqtt", "check_mqtt", takes_device=True
    ),
    Jsonl: Row(
        "jsonl", "what reads the results", "edge.sinks.jsonl_file", "open_jsonl", "check_jsonl"
    ),
    Webhook: Row(
        "webhook", "the server of its url", "edge.sinks.webhook", "WebhookSink", "check_webhook"
    ),
    Command: Row(
        "command", "its program", "edge.sinks.command", "CommandSink", "check_command"
    ),
}  # fmt: skip


def open_sinks(sections: Sequence[Mqtt | AnySink], device: str) -> list[Sink]:
    """Return the sinks of a configuration; the broker is not waited for.

    Raises:
        ConfigError: A file that one of them needs can't be used.
    """
    seen: Counter[str] = Counter()
    sinks: list[Sink] = []
    for section in sections:
        row = SINKS[type(section)]
        seen[row.name] += 1
        name = row.name + (f" {seen[row.name]}" if seen[row.name] > 1 else "")
        more = {"device": device} if row.takes_device else {}
        sinks.append(_function(row, row.opener)(section, name=name, **more))
    return sinks


def check_sink(section: Mqtt | AnySink) -> None:
    """Refuse what opening a sink would refuse; the network is not touched.

    Raises:
        ConfigError: With the sentence that opening it would end with.
    """
    row = SINKS[type(section)]
    if row.check:
        _function(row, row.check)(section)


def receiver(name: str) -> str:
    """Return who takes the messages of a sink of this name."""
    kind = name.partition(" ")[0]
    return next(row.receiver for row in SINKS.values() if row.name == kind)


def _function(row: Row, name: str) -> Any:  # noqa: ANN401 - an opener or a check
    return getattr(importlib.import_module(row.module), name)
