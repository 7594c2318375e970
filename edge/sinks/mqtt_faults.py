"""Why there is no connection, in a sentence, and how often that is told."""

from __future__ import annotations

import logging
import math
import socket
import ssl
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from edge.config.mqtt import MQTT_PORTS
from edge.errors import SinkError
from edge.sinks.mqtt_credentials import WRONG_TIME_CODES, certificate_dates

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.config.mqtt import Mqtt
    from edge.sinks.outbox import Tally

log = logging.getLogger("edge.sinks.mqtt")

# Reason codes of MQTT 5, section 3.2.2.2, into which paho translates those of 3.1.1.
BAD_CLIENT_ID = 133
BUSY = 136
DATES_TIMEOUT_S = 2.0


class BrokerError(SinkError):
    """Why there is no connection.

    Attributes:
        kind: The same for repeats of the same fault.
        found: What was found where a broker was expected.
        remedy: What to type or change.
        refused: The broker is there and wants none of us: trying often makes it worse.
    """

    def __init__(self, kind: str, found: str, remedy: str, *, refused: bool = False) -> None:
        super().__init__(f"mqtt: {found}; {remedy}")
        self.kind = kind
        self.found = found
        self.remedy = remedy
        self.refused = refused


def dial_fault(error: OSError | UnicodeError, settings: Mqtt) -> BrokerError:
    """Return why no connection could be opened."""
    address = settings.address
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate_fault(error, settings)
    if isinstance(error, ssl.SSLError) or (
        settings.tls and isinstance(error, ConnectionResetError)
    ):
        found = f"{address} answers, but not in TLS ({error.strerror or error})"
        remedy = "use the broker's TLS port (often 8883), or mqtt:// if it has none"
        return BrokerError("tls", found, remedy, refused=True)
    if isinstance(error, socket.gaierror | UnicodeError):
        found = f"the name {settings.host!r} has no address ({error})"
        return BrokerError("name", found, f"check the name with: getent hosts {settings.host}")
    reason = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
    found = f"nothing answers at {address} ({reason.lower()})"
    return BrokerError("absent", found, f"check the broker with: {_probe(settings)}")


def refusal_fault(code: int, reason: str, settings: Mqtt) -> BrokerError:
    """Return why the broker did not accept us."""
    user = settings.username
    who = f"user {user!r}" if user else "a client without a user name"
    credentials = (
        "check the user in the broker's URL and the first line of its password_file, where a blank "
        "at the end counts"
        if settings.password_file
        else "name the user in the broker's URL (mqtt://USER@HOST) and set password_file"
    )
    remedies = {
        BAD_CLIENT_ID: "let the broker accept client ids that begin with 'edge-'",
        BUSY: "it is up but busy; look at its log",
    }
    found = f"{settings.address} refuses {who} ({reason.lower()})"
    return BrokerError(f"refused {code}", found, remedies.get(code, credentials), refused=True)


def stranger_fault(settings: Mqtt) -> BrokerError:
    """Return the fault of something that took our call and spoke, but not MQTT."""
    found = f"{settings.address} answers, but not as an MQTT broker"
    port, otherwise = MQTT_PORTS["mqtts"], ""
    if not settings.tls:
        port, otherwise = MQTT_PORTS["mqtt"], ", or write mqtts:// if the broker wants TLS"
    remedy = f"check the port (brokers use {port}){otherwise}"
    return BrokerError("stranger", found, remedy, refused=True)


def ended_fault(settings: Mqtt, *, silent_s: float = 0.0, accepted: bool = True) -> BrokerError:
    """Return the fault of a broker that ended the connection, or was silent for so long in it."""
    what = "has acknowledged nothing" if accepted else "takes the call, and has not answered"
    remedy = f"if this repeats, look at the broker's log, or check with: {_probe(settings)}"
    if silent_s:
        return BrokerError("silence", f"{settings.address} {what} for {silent_s:g} s", remedy)
    return BrokerError("lost", f"the connection to {settings.address} ended", remedy)


def _certificate_fault(error: ssl.SSLCertVerificationError, settings: Mqtt) -> BrokerError:
    found = f"the certificate of {settings.address} is not trusted ({error.verify_message})"
    if error.verify_code in WRONG_TIME_CODES:
        place = (settings.host, settings.port)
        dates = certificate_dates(place, settings.ca_file, timeout_s=DATES_TIMEOUT_S)
        now = datetime.now(timezone.utc)
        found += f"; it holds {dates}" if dates else ""
        found += f", and this machine's clock says {now:%b %d %H:%M:%S %Y} GMT"
        remedy = "set the clock (check with: timedatectl), or renew the certificate"
    elif settings.ca_file:
        remedy = f"check that {settings.ca_file} signed it and that it names {settings.host}"
    else:
        remedy = "set ca_file to the certificate of the authority that signed it"
    return BrokerError("certificate", found, remedy, refused=True)


def _probe(settings: Mqtt) -> str:
    words = ["mosquitto_sub", "-h", settings.host]
    if settings.port != MQTT_PORTS["mqtt"]:
        words += ["-p", str(settings.port)]
    if settings.tls and settings.ca_file:
        words += ["--cafile", str(settings.ca_file)]
    if settings.username:
        words += ["-u", settings.username, "-P", "PASSWORD"]
    return " ".join([*words, "-t", "'edge/#'"])


class ConnectionLog:
    """Tells each change once, and each kind of fault no more often than every `repeat_s` seconds.

    Args:
        settings: Named in the lines.
        repeat_s: Shortest time between two lines about faults of one kind, seconds.
        clock: Monotonic, seconds.
    """

    def __init__(
        self, settings: Mqtt, *, repeat_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._repeat_s = repeat_s
        self._clock = clock
        self._told_at: dict[str, float] = {}
        self._untold: dict[str, int] = {}
        self._owes_recovery = True
        self._dropped = 0

    def fault(self, fault: BrokerError) -> None:
        """Note that there is no connection, and why."""
        repeats = self._repeats(fault.kind)
        if not repeats:
            return
        self._owes_recovery = True
        since = f", {repeats} times since the last such line" if repeats > 1 else ""
        most = self._settings.outbox_messages
        log.warning(
            "mqtt: %s%s; results wait in memory (up to %d messages), trying again; %s",
            *(fault.found, since, most, fault.remedy),
        )

    def tell(self, kind: str, text: str) -> None:
        """Warn of something that does not end the connection, and count its repeats."""
        if repeats := self._repeats(kind):
            times = f" ({repeats} times)" if repeats > 1 else ""
            log.warning("mqtt: %s %s%s", self._settings.address, text, times)

    def connected(self, client_id: str, tally: Tally) -> None:
        """Note that the broker accepted us."""
        dropped, self._dropped = tally.dropped - self._dropped, tally.dropped
        if self._owes_recovery or dropped:
            self._owes_recovery = False
            log.info(
                "mqtt: connected to %s as %r; %d results waited and go out now, %d were dropped",
                *(self._settings.address, client_id, tally.waiting, dropped),
            )

    def closed(self, tally: Tally) -> None:
        """Note the end."""
        if tally.waiting:
            log.warning(
                "mqtt: closed with %d results undelivered; check the broker at %s",
                *(tally.waiting, self._settings.address),
            )
        else:
            log.info("mqtt: closed; %d results delivered", tally.settled)

    def _repeats(self, kind: str) -> int:
        """Return how often this happened since it was last told; 0 if that was just now."""
        now = self._clock()
        count = self._untold.pop(kind, 0) + 1
        if now - self._told_at.get(kind, -math.inf) < self._repeat_s:
            self._untold[kind] = count
            return 0
        self._told_at[kind] = now
        return count
