"""The section `[mqtt]`: which broker, and as whom."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, field_validator, model_validator

from edge.config.section import Section

# IANA service names mqtt and secure-mqtt.
MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883}


class Mqtt(Section):
    """The broker.

    Attributes:
        url: `mqtt://[USER@]HOST[:PORT]`, or `mqtts://` for TLS.
        password_file: Holds the password on its first line; readable by its owner only.
        ca_file: Certificates to trust instead of the system's.
        qos: Quality of service of detections: 0 at most once, 1 at least once.
        keepalive_s: Longest silence before broker and device give each other up.
        outbox_messages: Messages kept while the broker is away; the oldest are dropped beyond.
    """

    url: str
    password_file: Path | None = None
    ca_file: Path | None = None
    qos: Literal[0, 1] = 1
    keepalive_s: Annotated[int, Field(ge=5, le=65535)] = 30
    outbox_messages: Annotated[int, Field(ge=1, le=1_000_000)] = 1000

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        parts = _split_url(url)
        if parts.scheme not in MQTT_PORTS or not parts.hostname:
            raise ValueError(f"expected mqtt://HOST or mqtts://HOST, found {url!r}")
        if parts.password is not None:
            raise ValueError(
                "a password in the URL can be read by everyone on this machine; "
                "write it to a file, chmod 600 it, and set password_file"
            )
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError(f"expected nothing behind the port, found {url!r}")
        return url

    @model_validator(mode="after")
    def _check_credentials(self) -> Mqtt:
        if self.password_file and not self.username:
            raise ValueError("password_file needs a user: write url = 'mqtt://USER@HOST'")
        if self.ca_file and not self.tls:
            raise ValueError("ca_file needs TLS: write url = 'mqtts://HOST'")
        return self

    @property
    def host(self) -> str:
        """Name or address of the broker."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """TCP port: the URL's, or the scheme's own."""
        parts = urlsplit(self.url)
        return parts.port or MQTT_PORTS[parts.scheme]

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return urlsplit(self.url).scheme == "mqtts"

    @property
    def username(self) -> str | None:
        """User of the broker, from the URL."""
        return urlsplit(self.url).username


def _split_url(url: str) -> SplitResult:
    parts = urlsplit(url)
    try:
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"expected a port from 1 to 65535 in {url!r}") from error
    return parts
