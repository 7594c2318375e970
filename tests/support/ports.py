"""TCP ports of the loopback that are this process's own, whatever runs beside it.

The kernel gives whoever asks for any port, or calls somebody, one of its range: what was free a
moment ago may be taken when a broker is started there, or is started there again.
"""

from __future__ import annotations

import functools
import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
FIRST, BLOCK = 10_000, 1_000


def free_port() -> int:
    """Return a port that nothing listens on, and that the kernel gives to nobody."""
    return next(_own_ports())


@functools.cache
def _own_ports() -> Iterator[int]:
    """Return the ports of a block that this process has claimed, one after the other."""
    below = int(RANGE.read_text().split()[0])
    for first in range(FIRST, below - BLOCK + 1, BLOCK):
        # A name that ends with the process, however that ends.
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0edge-test-ports-{first}")
        except OSError:
            claim.close()
            continue
        return _free_ones(first, claim)
    raise OSError(f"expected {BLOCK} ports between {FIRST} and {below} that no other test has")


def _free_ones(first: int, _claim: socket.socket) -> Iterator[int]:
    for port in range(first, first + BLOCK):
        if _is_free(port):
            yield port


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
