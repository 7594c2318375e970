"""Messages by POST to a web server that comes and goes."""

from __future__ import annotations

import contextlib
import http.client
import logging
import re
import socket
import ssl
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edge.backoff import Backoff
from edge.errors import ConfigError
from edge.password import read_password
from edge.repeats import Repeats
from edge.sinks.mqtt_credentials import tls_context
from edge.sinks.queued import Queued, Unfinished, as_json

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from edge.config.sink import Webhook
    from edge.messages.envelope import Message

log = logging.getLogger("edge.sinks")

BASE_S, CAP_S = 1.0, 60.0
# RFC 9110, sections 15.5.9 and 15.6; RFC 6585, section 4; RFC 8470, section 5.2: ask again later.
# A server that says so this often of one message has something against it.
LATER = {408, 425, 429, *range(500, 600)}
MOST_TRIES = 5
# RFC 9110, section 5.1; of the value what every server reads alike.
HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x21-\x7e][\x20-\x7e]*)")


class WebhookSink(Queued):
    """Posts each message as JSON: topic, policy and payload.

    A server that is away is tried until it is there, 1 s and at most 60 s apart, and the oldest
    messages make room. One that answers 408, 425, 429 or 5xx is asked five times, and any other
    answer but 2xx is final: such a message is dropped and counted. No redirect is followed: it
    would send what the camera sees to a place that nobody named.

    Raises:
        ConfigError: The file of the header or the certificates can't be used.
    """

    def __init__(self, settings: Webhook, *, name: str = "webhook", base_s: float = BASE_S) -> None:
        self._settings = settings
        self._headers = {"Content-Type": "application/json", "User-Agent": "edge-vision"}
        self._headers |= {"Connection": "close", **read_header(settings.header_file)}
        self._tls = tls_context(settings.ca_file) if settings.parts.scheme == "https" else None
        self._backoff = Backoff(least_s=base_s / 2, base_s=base_s, cap_s=CAP_S)
        self._repeats = Repeats()
        self._is_away = False
        super().__init__(name, messages=settings.queue_messages, wants=settings.wants)

    def deliver(self, message: Message) -> bool:
        """Post until the server takes it or refuses it for good."""
        body = as_json(message.topic, message.payload, policy=message.policy)
        tries = 0
        while True:
            is_last = self.closing.is_set()
            wait_s = 0.0
            try:
                status, headers = self._post(body)
            except (OSError, UnicodeError, http.client.HTTPException) as error:
                self._tell_away(error)
            else:
                if status in range(200, 300):
                    self._tell_back()
                    return True
                tries += 1
                if status not in LATER or tries == MOST_TRIES:
                    self._tell_refused(status, headers)
                    return False
                after = headers.get("Retry-After", "")
                wait_s = min(CAP_S, float(after)) if after.isdecimal() else 0.0
            if is_last:
                raise Unfinished
            self.closing.wait(max(wait_s, self._backoff.next_s()))

    def _post(self, body: bytes) -> tuple[int, http.client.HTTPMessage]:
        """Return the status and the headers of the answer; what follows them is not read."""
        parts, timeout_s = self._settings.parts, self._settings.timeout_s
        kind: Any = http.client.HTTPSConnection if self._tls else http.client.HTTPConnection
        context = {"context": self._tls} if self._tls else {}
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection = kind(parts.hostname, parts.port, timeout=timeout_s, **context)
        with contextlib.closing(connection):
            connection.connect()
            # A server that sends a byte now and then is never silent for so long.
            cut = threading.Timer(2 * timeout_s, _shut_down, [connection.sock])
            cut.daemon = True
            cut.start()
            try:
                connection.request("POST", target, body, self._headers)
                answer = connection.getresponse()
                return answer.status, answer.headers
            finally:
                cut.cancel()

    def _tell_away(self, error: Exception) -> None:
        self._is_away = True
        address, reason = self._settings.address, getattr(error, "strerror", None) or str(error)
        if isinstance(error, http.client.HTTPException):
            reason = type(error).__name__  # its text is the stranger's, of any length
        if isinstance(error, ssl.SSLCertVerificationError):
            found = f"the certificate of {address} is not trusted ({error.verify_message})"
            remedy = "check the clock (timedatectl), or set ca_file"
        elif isinstance(error, (ssl.SSLError, http.client.HTTPException)):
            found = f"{address} answers, but not as its URL says ({reason})"
            remedy = "check http or https, and the port"
        else:
            found = f"nothing answers at {address} ({str(reason).lower()})"
            remedy = f"check with: curl -sS {self._settings.parts.scheme}://{address}"
        waiting = f"up to {self._settings.queue_messages} messages wait in memory"
        self._repeats.warn(log, "away", f"{self.name}: {found}; {waiting}, trying again; {remedy}")

    def _tell_back(self) -> None:
        self._backoff.reset()
        if self._is_away:
            self._is_away = False
            log.info("%s: %s takes messages again", self.name, self._settings.address)

    def _tell_refused(self, status: int, headers: http.client.HTTPMessage) -> None:
        reason = http.client.responses.get(status, "no known status")
        text = f"{self.name}: {self._settings.address} answers {status} ({reason.lower()})"
        remedy = "look at its log, and check url and header_file"
        if status in range(300, 400):
            place = urlsplit(headers.get("Location", "")).hostname or self._settings.address
            remedy = (
                f"it sends us to {place!r}, and no redirect is followed: set url to where it is"
            )
        self._repeats.warn(log, f"refused {status}", f"{text}; the message is dropped; {remedy}")


def _shut_down(sock: socket.socket) -> None:
    """End a connection under whoever reads it, below TLS."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def read_header(path: Path | None) -> dict[str, str]:
    """Return the header that stands in a file; none without one.

    Raises:
        ConfigError: The file can't be used, or its first line is no header.
    """
    if path is None:
        return {}
    found = HEADER.fullmatch(read_password(path, what="header", key="header_file").strip())
    if not found:
        raise ConfigError(
            f"{path}: expected a header, 'NAME: VALUE' in ASCII, on the first line, found "
            "something else; write such as: Authorization: Bearer TOKEN"
        )
    return {found[1]: found[2]}


def check_webhook(settings: Webhook) -> None:
    """Refuse what could not be used; the network is not touched.

    Raises:
        ConfigError: The file of the header or the certificates can't be used.
    """
    read_header(settings.header_file)
    if settings.ca_file:
        tls_context(settings.ca_file)
