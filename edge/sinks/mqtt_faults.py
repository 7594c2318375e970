"""Why there is no connection, in a sentence, and how often that is told."""

from __future__ import annotations

import logging
import socket
import ssl
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from edge.config.mqtt import MQTT_PORTS
from edge.errors import SinkError
from edge.repeats import Repeats
from edge.sinks.mqtt_credentials import certificate_dates

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.config.mqtt import Mqtt
    from edge.messages.envelope import Message
    from edge.sinks.outbox import Tally

log = logging.getLogger("edge.sinks.mqtt")

AGAIN = "if this repeats, look at the broker's log, or check with: {probe}"
REFUSES = "{address} refuses {who} ({reason})"
STRANGER = "{address} answers, but not as an MQTT broker"
PORT = "check the port (brokers use {usual_port}){otherwise}"
UNTRUSTED = "the certificate of {address} is not trusted ({reason})"
# Kind: what was found where a broker was expected, and what to type or change. The numbers are
# reason codes of MQTT 5, section 3.2.2.2, into which paho translates those of 3.1.1.
SENTENCES = {
    "absent": ("nothing answers at {address} ({reason})", "check the broker with: {probe}"),
    "name": ("the name {host!r} has no address ({reason})", "check it with: getent hosts {host}"),
    "lost": ("the connection to {address} ended{parting}", AGAIN),
    "unanswered": ("{address} takes the call, and has not answered for {silent_s:g} s", AGAIN),
    "silence": ("{address} has acknowledged nothing for {silent_s:g} s", AGAIN),
    "stranger": (STRANGER, PORT),
    # No refusal: a broker that just ends hangs up too.
    "hung up": (f"{STRANGER}: it hangs up", PORT),
    "tls": (
        "{address} answers, but not in TLS ({reason})",
        "use the broker's TLS port (often 8883), or mqtt:// if it has none",
    ),
    "expired": (
        f"{UNTRUSTED}{{dates}}, and this machine's clock says {{now:%b %d %H:%M:%S %Y}} GMT",
        "set the clock (check with: timedatectl), or renew the certificate",
    ),
    "foreign": (UNTRUSTED, "check that {ca_file} signed it and that it names {host}"),
    "unsigned": (UNTRUSTED, "set ca_file to the certificate of the authority that signed it"),
    "refused 133": (REFUSES, "let the broker accept client ids that begin with 'edge-'"),
    "refused 132": (
        "{address} speaks another version of MQTT than {protocol}",
        "leave [mqtt] protocol out, and the version is found",
    ),
    "refused 136": (REFUSES, "it is up but busy; look at its log"),
    "refused 137": (REFUSES, "it is up but busy; look at its log"),
    "refused": (REFUSES, "{credentials}"),
}
# The broker is there and wants none of us, or it is no broker: trying often makes it worse.
REFUSALS = ("tls", "stranger", "expired", "foreign", "unsigned", "refused")
DATES_TIMEOUT_S = 2.0
# X509_V_ERR_CERT_NOT_YET_VALID and _HAS_EXPIRED of OpenSSL.
WRONG_TIME_CODES = (9, 10)


class BrokerError(SinkError):
    """Why there is no connection.

    Args:
        kind: Of `SENTENCES`, or its first word is; the same for repeats of the same fault.
        settings: Named in the sentence.
        words: What else the sentence names.

    Attributes:
        found: What was found where a broker was expected.
        remedy: What to type or change.
        refused: Trying often makes it worse.
    """

    def __init__(self, kind: str, settings: Mqtt, **words: object) -> None:
        words = _words(settings) | words
        sentence = SENTENCES.get(kind) or SENTENCES[kind.partition(" ")[0]]
        self.kind = kind
        self.found, self.remedy = (text.format(**words) for text in sentence)
        self.refused = kind.partition(" ")[0] in REFUSALS
        super().__init__(f"mqtt: {self.found}; {self.remedy}")


def dial_fault(error: OSError | UnicodeError, settings: Mqtt) -> BrokerError:
    """Return why no connection could be opened."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate_fault(error, settings)
    if isinstance(error, socket.gaierror | UnicodeError):
        return BrokerError("name", settings, reason=error)
    is_reset = settings.tls and isinstance(error, ConnectionResetError)
    if isinstance(error, ssl.SSLError) or is_reset:
        return BrokerError("tls", settings, reason=error.strerror or error)
    reason = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
    return BrokerError("absent", settings, reason=reason.lower())


def _certificate_fault(error: ssl.SSLCertVerificationError, settings: Mqtt) -> BrokerError:
    if error.verify_code not in WRONG_TIME_CODES:
        kind = "foreign" if settings.ca_file else "unsigned"
        return BrokerError(kind, settings, reason=error.verify_message)
    place = (settings.host, settings.port)
    dates = certificate_dates(place, settings.ca_file, timeout_s=DATES_TIMEOUT_S)
    return BrokerError(
        "expired",
        settings,
        reason=error.verify_message,
        dates=dates and f"; it holds {dates}",
        now=datetime.now(timezone.utc),
    )


def _words(settings: Mqtt) -> dict[str, object]:
    user, port = settings.username, settings.port
    probe = ["mosquitto_sub", "-h", settings.host]
    probe += ["-p", str(port)] if port != MQTT_PORTS["mqtt"] else []
    probe += ["--cafile", str(settings.ca_file)] if settings.tls and settings.ca_file else []
    probe += ["-u", user, "-P", "PASSWORD"] if user else []
    credentials = "name the user in the broker's URL (mqtt://USER@HOST) and set password_file"
    if settings.password_file:
        credentials = (
            "check the user in the broker's URL and the first line of its password_file, where a "
            "blank at the end counts"
        )
    return {
        **{name: getattr(settings, name) for name in ("address", "host", "ca_file", "protocol")},
        "parting": "",
        "probe": " ".join([*probe, "-t", "'edge/#'"]),
        "usual_port": MQTT_PORTS["mqtts" if settings.tls else "mqtt"],
        "otherwise": "" if settings.tls else ", or write mqtts:// if the broker wants TLS",
        "who": f"user {user!r}" if user else "a client without a user name",
        "credentials": credentials,
    }


class ConnectionLog:
    """Tells each change once, and each kind of fault no more often than every `repeat_s`."""

    def __init__(
        self, settings: Mqtt, *, repeat_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._repeats = Repeats(repeat_s, clock=clock)
        self._owes_recovery = True
        self._dropped = 0

    def fault(self, fault: BrokerError) -> None:
        """Note that there is no connection, and why."""
        if repeats := self._repeats.count(fault.kind):
            self._owes_recovery = True
            since = f", {repeats} times since the last such line" if repeats > 1 else ""
            log.warning(
                "mqtt: %s%s; results wait in memory (up to %d messages), trying again; %s",
                *(fault.found, since, self._settings.outbox_messages, fault.remedy),
            )

    def tell(self, kind: str, text: str) -> None:
        """Warn of something that does not end the connection, and count its repeats."""
        self._repeats.warn(log, kind, f"mqtt: {self._settings.address} {text}")

    def dropped(self, message: Message, reason: str) -> None:
        """Warn of a message that can't go."""
        topic = message.topic
        self.tell(
            f"given up {topic}",
            f"{reason} of {len(message.payload)} bytes to {topic}, which is dropped; let it take "
            "more (mosquitto: max_packet_size), or send less ([output] class_map, [model] "
            "max_detections, [snapshots] max_kib)",
        )

    def may_not(self, verb: str, topic: str, reason: str) -> None:
        """Warn of a topic that we may not read or write."""
        who = self._settings.username or "everybody"
        remedy = f"let {who} {verb} it in its access list"
        self.tell(f"{verb} {topic}", f"does not let us {verb} {topic} ({reason}); {remedy}")

    def connected(self, client_id: str, tally: Tally) -> None:
        """Note that the broker accepted us."""
        dropped, self._dropped = tally.dropped - self._dropped, tally.dropped
        if self._owes_recovery or dropped:
            self._owes_recovery = False
            log.info(
                "mqtt: connected to %s as %r; %d results waited and go out now, %d were dropped",
                *(self._settings.address, client_id, tally.waiting, dropped),
            )

    def closed(self, tally: Tally, *, kept: int = 0) -> None:
        """Note the end; so many events wait on the disk."""
        if kept:
            log.info("mqtt: closed; %d events wait on the disk for the next start", kept)
        if tally.waiting > kept:
            log.warning(
                "mqtt: closed with %d results undelivered; check the broker at %s",
                *(tally.waiting - kept, self._settings.address),
            )
        elif not kept:
            log.info("mqtt: closed; %d results delivered", tally.settled)
