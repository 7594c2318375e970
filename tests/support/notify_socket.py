"""A service manager's end of sd_notify: a real datagram socket, and what was told on it."""

from __future__ import annotations

import secrets
import socket
import threading
from typing import TYPE_CHECKING

from waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self


class Manager:
    """Hears what a service tells; `address` is for its NOTIFY_SOCKET.

    Args:
        folder: For a socket with a path; an abstract one where there is none.

    Attributes:
        told: Every line so far.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.address = str(folder / "notify") if folder else f"@edge-test-{secrets.token_hex(8)}"
        self.told: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + self.address[1:] if folder is None else self.address)
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()

    def hears(self, start: str, *, times: int = 1) -> bool:
        """Wait until so many lines that begin so were told."""
        return eventually(lambda: self.count(start) >= times, timeout_s=300)

    def count(self, start: str) -> int:
        """Return how many lines that begin so were told."""
        return sum(line.startswith(start) for line in self.told)

    def _hear(self) -> None:
        while datagram := self._socket.recv(4096):
            self.told += datagram.decode().splitlines()
