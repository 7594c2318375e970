"""As whom a device calls its broker, and whether somebody else speaks as the same device.

Two clients with one id throw each other off. A stable id is worth that: with it a rebooted device
takes over the session that it left behind, whose will cannot speak any more.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edge.messages.envelope import Message, presence_topic

if TYPE_CHECKING:
    from edge.sinks.mqtt_faults import BrokerError

log = logging.getLogger("edge.sinks.mqtt")

MACHINE_ID = Path("/etc/machine-id")
# MQTT 3.1.1, section 3.1.3: any broker takes 23 characters; "edge-", 9, "-" and 8 are 23.
NAME_CHARACTERS, DIGEST_CHARACTERS = 9, 8
# So often in a row a new connection is lost before the client id is suspected.
YOUNG_LOSSES = 2
# What is kept of others: anybody may write to the presence topic.
MAX_PEERS, MAX_PRESENCE_CHARACTERS = 16, 160
# What somebody publishes who only asks who is there: each answers, and none takes it for a peer.
WHO = b"who"


def client_id(device: str, *, machine_id: Path = MACHINE_ID) -> str:
    """Return the id of a device on this machine, the same after each start, of 23 characters."""
    try:
        machine = machine_id.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        machine = ""
    if not re.fullmatch("[0-9a-f]{32}", machine):
        machine = socket.gethostname()
        log.info("mqtt: %s holds no id; the client id is of the host name", machine_id)
    digest = hashlib.sha256(f"{machine}{device}".encode()).hexdigest()
    return f"edge-{device[:NAME_CHARACTERS]}-{digest[:DIGEST_CHARACTERS]}"


class Presence:
    """Chooses the client id, and tells others of this name that they are not alone.

    Each connection is announced, and each announcement that is new is answered. Who is lost young
    twice in a row goes on with an id of this run alone, and takes the stable one back once nobody
    has answered for a while, twice as long each time.

    Args:
        device: Its name.
        stable_id: The client id as long as nobody else seems to have it.
        young_s: A connection that is lost sooner may have been thrown off; and the first such
            while, seconds.

    Attributes:
        client_id: Of the next connection.
    """

    def __init__(self, device: str, stable_id: str, *, young_s: float) -> None:
        self.client_id = self._stable_id = stable_id
        self._device = device
        self._young_s = self._alone_s = young_s
        self._young_losses = self._announcements = 0
        self._run = secrets.token_hex(4)
        # Run to the last announcement of it that was heard.
        self._peers: dict[str, str] = {}
        self.announcement("")

    @property
    def is_stand_in(self) -> bool:
        """Whether the client id is one of this run alone."""
        return self.client_id != self._stable_id

    def announcement(self, address: str) -> Message:
        """Return what asks who else is there, from this address."""
        self._announcements += 1
        self._announced_at = time.monotonic()
        self._has_company = False
        run = f"{self._run}-{self._announcements}"
        who = f"{socket.gethostname()} ({address}), process {os.getpid()}, run {run}"
        self._said = Message(presence_topic(self._device), who.encode(), policy="state")
        return self._said

    def hear(self, payload: bytes) -> Message | None:
        """Take in an announcement; return what to answer, if it is somebody's who has not heard."""
        if payload == WHO:
            return self._said
        who = payload.decode(errors="replace")[:MAX_PRESENCE_CHARACTERS]
        announcement = who.rpartition(" ")[2]
        run = announcement.partition("-")[0]
        if run == self._run:
            return None
        self._has_company = True
        known = self._peers.get(run)
        if known == announcement or (known is None and len(self._peers) >= MAX_PEERS):
            return None
        self._peers[run] = announcement
        if known is None:
            log.warning(
                "mqtt: somebody else speaks as device %r too: %r; give one of the two another "
                "[device] name",
                *(self._device, who),
            )
        return self._said

    def note_end(self, fault: BrokerError, *, age_s: float, accepted: bool) -> None:
        """Give up an id that another client seems to have, and one that the broker refuses."""
        if fault.refused:
            self.client_id = self._stable_id
        elif accepted:
            is_young = fault.kind == "lost" and age_s < self._young_s
            self._young_losses = self._young_losses + 1 if is_young else 0
            if self._young_losses >= YOUNG_LOSSES and not self.is_stand_in:
                kept = self._stable_id[: len("edge-") + NAME_CHARACTERS]
                self.client_id = f"{kept}-{secrets.token_hex(4)}"
                self._alone_s *= 2

    def takes_back(self) -> bool:
        """Take the stable id back once alone for long; whether a new connection is due for it."""
        if self._has_company or time.monotonic() - self._announced_at < self._alone_s:
            return False
        self.client_id = self._stable_id
        self._young_losses = 0
        log.info("mqtt: nobody else speaks as device %r; its own client id again", self._device)
        return True
