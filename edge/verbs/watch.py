"""The verb `edge watch`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.terminal.command import add_verb

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def add(verbs: Any) -> None:  # noqa: ANN401
    """Add the verb to a command."""
    parser = add_verb(
        verbs,
        "watch",
        "Show live what devices publish to a broker.",
        run=run,
        examples=[
            "edge watch mqtt://localhost",
            "edge watch mqtts://me@broker --password-file secret --topic 'edge/porch/#' --json",
        ],
    )
    parser.add_argument("url", metavar="URL", help="mqtt://[USER@]HOST[:PORT], or mqtts:// for TLS")
    parser.add_argument(
        "--password-file", metavar="FILE", type=Path, help="holds the password of USER"
    )
    parser.add_argument(
        "--ca-file", metavar="FILE", type=Path, help="certificates to trust instead of the system's"
    )
    parser.add_argument(
        "--topic", metavar="TOPIC", action="append",
        help="which messages, in MQTT's wildcards; may be repeated (default: edge/#)",
    )  # fmt: skip
    parser.add_argument(
        "--all", action="store_true", help="each frame, not only those that show something else"
    )
    parser.add_argument("--json", action="store_true", help="each message as a line of JSON")


def run(arguments: argparse.Namespace) -> None:
    """Print what arrives until Ctrl-C."""
    from edge.config.reading import parse  # noqa: PLC0415 - `edge --help` needs neither
    from edge.sinks.mqtt_reader import MqttReader  # noqa: PLC0415
    from edge.terminal.signals import ENDING, handling  # noqa: PLC0415

    given = {"url": arguments.url} | {
        key: value
        for key in ("password_file", "ca_file")
        if (value := getattr(arguments, key)) is not None
    }
    mqtt = parse({"mqtt": given}).mqtt
    assert mqtt is not None  # noqa: S101 - it was given
    reader = MqttReader(mqtt, arguments.topic or ["edge/#"])
    text = _json if arguments.json else _lines(every=arguments.all)
    with handling(dict.fromkeys(ENDING, reader.stop)):
        for topic, payload in reader.messages():
            if line := text(topic, payload):
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()


def _json(topic: str, payload: bytes) -> str:
    from edge.messages.envelope import utc_text  # noqa: PLC0415
    from edge.sinks.queued import as_json  # noqa: PLC0415

    return as_json(topic, payload, received_at=utc_text(time.time_ns())).decode()


def _lines(*, every: bool) -> Callable[[str, bytes], str]:
    from edge.watching import Lines  # noqa: PLC0415

    lines = Lines(every=every)

    def text(topic: str, payload: bytes) -> str:
        line = lines.line(topic, payload)
        return line and f"{time.strftime('%H:%M:%S')}  {line}"

    return text
