"""The broker: whether it answers, for how long it is trusted, and who else is this device."""

from __future__ import annotations

import re
import secrets
import socket
import ssl
import time
from typing import TYPE_CHECKING

from edge.doctor.host import UNIT, Finding, Host, absent, ok, warning, wrong

if TYPE_CHECKING:
    from pathlib import Path

    from edge.config.mqtt import Mqtt

DIAL_S, ANSWER_S = 3.0, 3.0
# How long others have to say that they are there.
LISTEN_S = 1.5
SOON_DAYS, DAY_S = 30, 86400
# Only there while the service runs, and only for it; and what systemd lays there.
CREDENTIALS = f"/run/credentials/{UNIT}/"
SECRETS = "etc/edge/secrets"
VOICE = re.compile(r"(.*), process \d+, run ([0-9a-f]+)-\d+")


def credentials(host: Host) -> Finding:
    """Look whether the secrets are there, and for their owner only."""
    from edge.password import read_password  # noqa: PLC0415 - needs msgspec

    for folder in host.glob(SECRETS):
        for path in sorted(folder.iterdir()):
            if path.stat().st_mode & 0o077:
                found = f"{path} is readable by others ({path.stat().st_mode & 0o777:04o})"
                return wrong(found, f"sudo chmod 600 {path}")
    mqtt = host.config.mqtt if host.config else None
    if not mqtt or not mqtt.password_file:
        return absent("the configuration names no password file")
    read_password(mqtt.password_file)
    return ok("the password is for its owner only")


def with_secret(mqtt: Mqtt, root: Path) -> Mqtt:
    """Return the section with a password file that is there while the service is not.

    systemd shows its credentials to the running service alone.
    """
    given = mqtt.password_file
    if given and str(given).startswith(CREDENTIALS) and not given.is_file():
        return mqtt.replace(password_file=root / SECRETS / given.name)
    return mqtt


def broker(host: Host) -> Finding:
    """Call the broker as the service would, and ask who speaks as this device."""
    from edge.sinks.mqtt_identity import WHO  # noqa: PLC0415 - needs paho

    if not host.config or not (mqtt := host.config.mqtt):
        return absent("the configuration names no broker")
    device = host.config.device.name
    heard = _hear(mqtt, f"edge/{device}/presence", WHO)
    answers = [VOICE.fullmatch(payload.decode("utf-8", "replace")) for _, payload in heard]
    runs = {match[2]: match[1] for match in answers if match}
    here, who = socket.gethostname(), ", ".join(sorted(runs.values()))
    said = f"{mqtt.address} answers; {who or 'nobody'} speaks as device {device}"
    mend = "give one of them another [device] name, and restart it: sudo systemctl restart edge"
    if len(runs) > 1:
        return wrong(said, mend)
    if runs and host.is_live and not who.startswith(f"{here} "):
        return warning(f"{said}, this is {here}", mend)
    return ok(said)


def certificate(host: Host) -> Finding:
    """Look for how long the broker's certificate holds."""
    from edge.sinks.mqtt_credentials import certificate_dates  # noqa: PLC0415

    mqtt = host.config.mqtt if host.config else None
    if not mqtt or not mqtt.tls:
        return absent("no TLS is asked for")
    dates = certificate_dates((mqtt.host, mqtt.port), mqtt.ca_file, timeout_s=DIAL_S)
    if not dates:
        return absent("no certificate that is trusted; see broker")
    ends = dates.rpartition(" to ")[2]
    days = (ssl.cert_time_to_seconds(ends) - time.time()) / DAY_S
    mend = f"renew the certificate of {mqtt.host}"
    if days < 0:
        return wrong(f"over since {ends}", mend)
    if days < SOON_DAYS:
        return warning(f"ends in {days:.0f} days", mend)
    return ok(f"names {mqtt.host}, holds for {days:.0f} days")


def _hear(mqtt: Mqtt, topic: str, question: bytes) -> list[tuple[str, bytes]]:
    """Return what comes on a topic within `LISTEN_S` of a question there.

    Raises:
        BrokerError: There is no connection.
    """
    from edge.messages.envelope import Message  # noqa: PLC0415
    from edge.repeats import REPEAT_S  # noqa: PLC0415
    from edge.sinks.mqtt_connection import Connection  # noqa: PLC0415
    from edge.sinks.mqtt_faults import ConnectionLog  # noqa: PLC0415
    from edge.sinks.outbox import Outbox  # noqa: PLC0415

    outbox, heard = Outbox(messages=1), list[tuple[str, bytes]]()
    log = ConnectionLog(mqtt, repeat_s=REPEAT_S)
    connection = Connection(mqtt, outbox, log, status_topic="", answer_s=ANSWER_S)
    connection.handlers.append((topic, lambda *each: heard.append(each)))
    waker, alarm = socket.socketpair()
    with waker, alarm:
        try:
            connection.open(f"edge-doctor-{secrets.token_hex(4)}", timeout_s=DIAL_S)
            end_s = time.monotonic() + DIAL_S + ANSWER_S
            is_asked = False
            while time.monotonic() < end_s:
                connection.step(waker, timeout_s=0.1)
                if connection.is_accepted:
                    connection.feed()
                if connection.answered and not is_asked:
                    is_asked, end_s = True, time.monotonic() + LISTEN_S
                    outbox.put(Message(topic, question))
            connection.leave()
        finally:
            connection.close(lost=False)
    return heard
