"""The section `[mqtt]`: which broker, and as whom."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import Meta

from edge.errors import shown
from edge.record import Checks, Record

# IANA service names mqtt and secure-mqtt.
MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883}


def _check_url(url: str) -> None:
    scheme, _, rest = url.partition("://")
    user, _, _ = rest.rpartition("@")
    if ":" in user:
        raise ValueError(
            "a password in the URL can be read by everyone on this machine; "
            "write it to a file, chmod 600 it, and set password_file"
        )
    if any(character in user for character in "/?#"):
        raise ValueError("in the name of the user, write / as %2F, ? as %3F and # as %23")
    parts = _split_place(rest)
    if scheme not in MQTT_PORTS or not parts.hostname:
        raise ValueError(f"expected mqtt://HOST or mqtts://HOST, found {shown(url)!r}")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"expected nothing behind the port, found {shown(url)!r}")


class Mqtt(Record, frozen=True):
    """The broker.

    Attributes:
        url: `mqtt://[USER@]HOST[:PORT]`, or `mqtts://` for TLS; USER is percent-encoded.
        password_file: Holds the password on its first line; readable by its owner only.
        ca_file: Certificates to trust instead of the system's.
        qos: Quality of service of results: 0 at most once, 1 at least once.
        keepalive_s: Longest silence before broker and device give each other up.
        outbox_messages: Results kept while the broker is away; the oldest are dropped beyond.
        outbox_mib: Most memory that everything kept takes, MiB.
        commands: Whoever may write to `edge/DEVICE/command/#` changes what holds while it runs.
        protocol: Version of MQTT: `auto` speaks 5, and 3.1.1 to a broker that does not.
        max_packet_kib: Largest message, its header included, KiB; 0 is what the broker takes.
        spool: Where events wait: in `memory`, or on the `disk` too, where they outlive a restart.
        spool_mib: Most that events on the disk take; the oldest are dropped beyond.
    """

    checks: ClassVar[Checks] = {"url": _check_url}

    url: str
    password_file: Path | None = None
    ca_file: Path | None = None
    qos: Literal[0, 1] = 1
    keepalive_s: Annotated[int, Meta(ge=5, le=65535)] = 30
    outbox_messages: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000
    outbox_mib: Annotated[int, Meta(ge=1, le=1024)] = 8
    commands: bool = False
    protocol: Literal["auto", "3.1.1", "5"] = "auto"
    max_packet_kib: Annotated[int, Meta(ge=0, le=262_144)] = 0
    spool: Literal["memory", "disk"] = "memory"
    spool_mib: Annotated[int, Meta(ge=1, le=1024)] = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.password_file and not self.username:
            raise ValueError("password_file needs a user: write url = 'mqtt://USER@HOST'")
        if self.ca_file and not self.tls:
            raise ValueError("ca_file needs TLS: write url = 'mqtts://HOST'")

    @property
    def host(self) -> str:
        """Name or address of the broker."""
        return _split_place(self.url.partition("://")[2]).hostname or ""

    @property
    def port(self) -> int:
        """TCP port: the URL's, or the scheme's own."""
        scheme, _, rest = self.url.partition("://")
        return _split_place(rest).port or MQTT_PORTS[scheme]

    @property
    def address(self) -> str:
        """Host and port, for messages."""
        return f"{self.host}:{self.port}"

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.url.startswith("mqtts://")

    @property
    def username(self) -> str | None:
        """User of the broker, from the URL."""
        return unquote(self.url.partition("://")[2].rpartition("@")[0]) or None


def _split_place(rest: str) -> SplitResult:
    """Return host, port and what follows them; what stands before the last `@` is the user."""
    place = rest.rpartition("@")[2]
    # The port's text is not repeated: without its `@`, it may be a password.
    fault = f"expected a port from 1 to 65535 behind {place.partition(':')[0]!r}"
    try:
        parts = urlsplit(f"//{place}")
        is_sound = parts.port != 0
    except ValueError as error:
        raise ValueError(fault) from error
    if not is_sound:
        raise ValueError(fault)
    return parts
