"""What systemd is told: datagrams to the socket that NOTIFY_SOCKET names.

Source: sd_notify(3), sd_watchdog_enabled(3); systemd 257.
"""

from __future__ import annotations

import logging
import os
import socket
import time

log = logging.getLogger("edge.service")

US_PER_S = 1e6
NS_PER_US = 1000
READY, WELL, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"
# More is in the log; a datagram that is too large would not arrive at all.
LONGEST_STATUS = 1000


class Notifier:
    """Tells systemd how it goes; without a socket it tells nobody. Safe from any thread.

    A datagram costs some 5 µs and is never waited for.

    Args:
        address: Of the socket; a first `@` stands for the zero byte of an abstract one.
        watchdog_s: Within which `WATCHDOG=1` must come again and again; 0 for no such watch.

    Attributes:
        watchdog_s: See there.
    """

    def __init__(self, address: str, *, watchdog_s: float = 0.0) -> None:
        self.watchdog_s = watchdog_s
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._has_failed = False

    def tell(self, *lines: str) -> None:
        """Send assignments, in one datagram; one that cannot go is said once in the log."""
        if not self._address:
            return
        try:
            self._socket.sendto("\n".join(lines).encode(errors="replace"), self._address)
        except OSError as error:
            if not self._has_failed:
                self._has_failed = True
                log.warning("systemd cannot be told %s: %s", lines[0], error)

    def ready(self, text: str) -> None:
        """Say that the start is over, or a reload."""
        self.tell(READY, status(text))

    def reloading(self) -> None:
        """Say that a reload has begun; `ready` ends it."""
        self.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // NS_PER_US}")


def from_environment() -> Notifier:
    """Return what tells the manager of this process; the watchdog may be another process's."""
    watched = os.environ.get("WATCHDOG_USEC", "")
    is_ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    watchdog_s = int(watched) / US_PER_S if watched.isdecimal() and is_ours else 0.0
    return Notifier(os.environ.get("NOTIFY_SOCKET", ""), watchdog_s=watchdog_s)


def status(text: str) -> str:
    """Return how it goes, in one line for `systemctl status`."""
    return f"STATUS={' '.join(text.split())[:LONGEST_STATUS]}"
