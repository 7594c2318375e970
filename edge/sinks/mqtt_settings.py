"""Which broker, as whom; the password from its file, and the trust in certificates."""

from __future__ import annotations

import os
import ssl
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edge.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

READABLE_BY_OTHERS = stat.S_IRWXG | stat.S_IRWXO
# MQTT 3.1.1, section 3.1.3.5: a password is at most this long.
MAX_PASSWORD_BYTES = 65535


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """How to reach the broker.

    Attributes:
        host: Name or address.
        port: TCP.
        client_id: Unique among the broker's clients: two with one id throw each other off for ever.
        tls: Encrypt, and verify the broker's certificate.
        username: None connects without a name.
        password_file: Its first line is the password; readable by its owner only.
        ca_file: Certificates to trust instead of the system's.
        keepalive_s: Longest silence; the broker speaks the last will after 1.5 times as long.
        qos: Of the detections: 0 at most once, 1 at least once.
        outbox_messages: Most messages that wait in memory; the oldest are dropped beyond.
    """

    host: str
    port: int
    client_id: str
    tls: bool = False
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    keepalive_s: int = 30
    qos: Literal[0, 1] = 1
    outbox_messages: int = 1000

    @property
    def address(self) -> str:
        """Host and port, for messages."""
        return f"{self.host}:{self.port}"


def read_password(path: Path) -> str:
    """Return the first line of a password file.

    Raises:
        ConfigError: It can't be read, others can read it, or its first line is no password.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & READABLE_BY_OTHERS:
                raise ConfigError(
                    f"{path}: a password file must be readable by its owner only (0600), "
                    f"found {mode:04o}; type: chmod 600 {path}"
                )
            line = file.readline(MAX_PASSWORD_BYTES + 2).rstrip(b"\r\n")
    except OSError as error:
        raise ConfigError(
            f"{path}: expected a password file, cannot read it: {error.strerror}; "
            "give its path in password_file"
        ) from error
    try:
        password = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: expected UTF-8 text on the first line; write it anew"
        ) from error
    if not 1 <= len(line) <= MAX_PASSWORD_BYTES:
        raise ConfigError(
            f"{path}: expected a password of 1 to {MAX_PASSWORD_BYTES} bytes on the first line, "
            f"found {'none' if not line else 'a longer one'}; write it anew"
        )
    return password


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that verifies the broker's certificate and its name.

    Raises:
        ConfigError: `ca_file` is missing or holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError as error:
        raise ConfigError(
            f"{ca_file}: expected certificates in PEM form, found none that is readable; "
            f"check with: openssl x509 -in {ca_file} -noout -subject"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{ca_file}: expected a file of certificates, cannot read it: {error.strerror}; "
            "give its path in ca_file"
        ) from error
