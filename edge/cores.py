"""Which CPU cores the interpreters have to themselves, and which everything else shares.

Left to the scheduler, capture and publishing push the interpreter from core to core. Measured on
two x86 cores, 720p H.264 in, MQTT on, windows interleaved: 0.956 of the bare interpreter's rate
with the cores divided against 0.920 without, and 0.88 against 0.77 in an hour when the machine was
busy. Confining only the others gave 0.927.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# An abstract socket: gone with its process whatever ends that, and seen by services that have a
# /tmp of their own. Source: unix(7), "Address format".
CLAIM = "\0edge-vision-cores"


# By default a busy Python thread keeps the GIL for 5 ms while a 7 ms invoke waits to go on: 0.55 of
# its speed alone. With 0.5 ms it is 0.88.
SWITCH_INTERVAL_S = 0.0005


@dataclass(frozen=True, slots=True)
class Cores:
    """A division of the cores that this process may use.

    Attributes:
        interpreter: Core numbers of the threads that invoke, and of the interpreters' own.
        others: Of capture, decode, suppression and sinks.
    """

    interpreter: frozenset[int]
    others: frozenset[int]

    @classmethod
    def divide(cls, available: frozenset[int], *, threads: int) -> Cores:
        """Give the interpreter a core for each of its threads, where that leaves one.

        Where it does not, everything shares all cores. The lowest stay with the others: Linux
        handles most interrupts on core 0.
        """
        if threads >= len(available):
            return cls(available, available)
        own = frozenset(sorted(available)[-threads:])
        return cls(own, available - own)

    def of_workers(self, count: int) -> tuple[frozenset[int], ...]:
        """Return where each of so many interpreters runs: on cores of its own, or on all."""
        if self.interpreter == self.others:
            return (self.interpreter,) * count
        own = sorted(self.interpreter)
        size = len(own) // count
        return tuple(frozenset(own[first : first + size]) for first in range(0, len(own), size))


@contextmanager
def divided(available: frozenset[int], *, threads: int) -> Iterator[Cores]:
    """Divide the cores for the length of the block, unless another process has done so.

    Two that divide would both take the highest cores for their interpreters, and leave others
    idle: then the second shares all of them, and the scheduler places it.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as claim:
        try:
            claim.bind(CLAIM)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            yield Cores(available, available)
        else:
            yield Cores.divide(available, threads=threads)


def available_cores() -> frozenset[int]:
    """Return the cores that the calling thread may use."""
    return frozenset(os.sched_getaffinity(0))


@contextmanager
def confined(cores: frozenset[int]) -> Iterator[None]:
    """Keep the calling thread, and those that it starts meanwhile, to these cores."""
    before = available_cores()
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def switching_soon() -> Iterator[None]:
    """Have busy Python threads hand the GIL on soon, for the length of the block."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
