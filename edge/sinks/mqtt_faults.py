"""Why there is no connection: a kind to tell repeats by, a sentence for the person who reads it."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.errors import SinkError

if TYPE_CHECKING:
    from edge.sinks.mqtt_settings import MqttSettings

MQTT_PORT = 1883
# Reason codes of MQTT 5, section 3.2.2.2, into which paho translates those of 3.1.1.
BAD_CLIENT_ID = 133
BUSY = 136


@dataclass(frozen=True, slots=True)
class Fault:
    """One reason.

    Attributes:
        kind: The same for repeats of the same fault.
        found: What was found where a broker was expected.
        remedy: What to type or change.
        refused: The broker is there and wants none of us: trying often makes it worse.
    """

    kind: str
    found: str
    remedy: str
    refused: bool = False


class BrokerError(SinkError):
    """The connection to the broker failed or ended."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"mqtt: {fault.found}; {fault.remedy}")
        self.fault = fault


def dial_fault(error: OSError | UnicodeError, settings: MqttSettings) -> Fault:
    """Return why no connection could be opened."""
    address = settings.address
    if isinstance(error, ssl.SSLCertVerificationError):
        return Fault(
            kind="certificate",
            found=f"the certificate of {address} is not trusted ({error.verify_message})",
            remedy=_certificate_remedy(settings),
            refused=True,
        )
    if isinstance(error, ssl.SSLError) or (
        settings.tls and isinstance(error, ConnectionResetError)
    ):
        return Fault(
            kind="tls",
            found=f"{address} answers, but not in TLS ({error.strerror or error})",
            remedy="use the broker's TLS port (often 8883), or mqtt:// if it has none",
            refused=True,
        )
    if isinstance(error, socket.gaierror | UnicodeError):
        return Fault(
            kind="name",
            found=f"the name {settings.host!r} has no address ({error})",
            remedy=f"check the name with: getent hosts {settings.host}",
        )
    reason = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
    return Fault(
        kind="absent",
        found=f"nothing answers at {address} ({reason.lower()})",
        remedy=f"check the broker with: {_probe(settings)}",
    )


def refusal_fault(code: int, reason: str, settings: MqttSettings) -> Fault:
    """Return why the broker did not accept us.

    Args:
        code: MQTT 5 reason code.
        reason: The same in words.
        settings: Whom we asked, and as whom.
    """
    remedies = {
        BAD_CLIENT_ID: f"let the broker accept the client id {settings.client_id!r}",
        BUSY: "look into the broker's log",
    }
    who = f"user {settings.username!r}" if settings.username else "a client without a user name"
    credentials = (
        "check the user in the broker's URL and the first line of its password_file"
        if settings.username
        else "write mqtt://USER@HOST and set password_file"
    )
    return Fault(
        kind=f"refused {code}",
        found=f"{settings.address} refuses {who} ({reason.lower()})",
        remedy=remedies.get(code, credentials),
        refused=True,
    )


def stranger_fault(settings: MqttSettings) -> Fault:
    """Return the fault of something that took our call and did not speak MQTT."""
    remedy = (
        "check the port"
        if settings.tls
        else "check the port (brokers use 1883), or write mqtts:// if the broker wants TLS"
    )
    return Fault(
        kind="stranger",
        found=f"{settings.address} answers, but not as an MQTT broker",
        remedy=remedy,
        refused=True,
    )


def lost_fault(settings: MqttSettings) -> Fault:
    """Return the fault of a connection that ended."""
    return Fault(
        kind="lost",
        found=f"the connection to {settings.address} ended",
        remedy=(
            "if this repeats, look for a second client with the id "
            f"{settings.client_id!r}, or check with: {_probe(settings)}"
        ),
    )


def silence_fault(answer_s: float, settings: MqttSettings) -> Fault:
    """Return the fault of a broker that keeps the connection and acknowledges nothing."""
    return Fault(
        kind="silence",
        found=f"{settings.address} has acknowledged nothing for {answer_s:g} s",
        remedy=f"restart the broker, or check it with: {_probe(settings)}",
    )


def _certificate_remedy(settings: MqttSettings) -> str:
    if settings.ca_file:
        return f"check that {settings.ca_file} signed it and that it names {settings.host}"
    return "set ca_file to the certificate of the authority that signed it"


def _probe(settings: MqttSettings) -> str:
    words = ["mosquitto_sub", "-h", settings.host]
    if settings.port != MQTT_PORT:
        words += ["-p", str(settings.port)]
    if settings.tls and settings.ca_file:
        words += ["--cafile", str(settings.ca_file)]
    if settings.username:
        words += ["-u", settings.username, "-P", "PASSWORD"]
    return " ".join([*words, "-t", "'edge/#'"])
