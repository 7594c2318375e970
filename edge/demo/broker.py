"""A small MQTT broker for demonstrations, in a process of its own.

It is started with `python -m edge.demo.broker PORT`.

It listens on loopback only, lets everybody in, keeps nothing, and ends when its stdin does, so that
it never outlives whoever started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from edge.errors import DependencyError, SinkError

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOPBACK = "127.0.0.1"
MQTT_PORT = 1883
READY = "ready"


def free_port() -> int:
    """Return MQTT's own port on loopback, or any free one where it is taken."""
    for port in (MQTT_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((LOOPBACK, port))
                return int(probe.getsockname()[1])
    raise SinkError(f"no TCP port is free on {LOOPBACK}; close some programs and try again")


@contextlib.contextmanager
def running() -> Iterator[int]:
    """Run a broker for the length of the block; gives its port.

    Raises:
        DependencyError: amqtt is not installed.
        SinkError: The broker did not start.
    """
    port = free_port()
    command = [sys.executable, "-m", "edge.demo.broker", str(port)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            answer = process.stdout.readline().strip() if process.stdout else ""
            if answer != READY:
                raise _explain(answer)
            yield port
        finally:
            process.communicate(timeout=10)  # closes its stdin, which ends it


def _explain(answer: str) -> Exception:
    if answer.startswith("ModuleNotFoundError"):
        return DependencyError(
            "the demonstration needs the broker amqtt; type: pip install 'edge-vision[demo]'"
        )
    return SinkError(f"the demonstration's broker did not start: {answer or 'it said nothing'}")


async def _serve(port: int) -> None:
    from amqtt.broker import Broker  # noqa: PLC0415 - an extra

    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{LOOPBACK}:{port}"}},
            "plugins": {
                "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}
            },
        }
    )
    await broker.start()
    print(READY, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await broker.shutdown()


def main(port: int) -> int:
    """Serve until stdin ends; return the exit status."""
    logging.disable(logging.CRITICAL)
    try:
        asyncio.run(_serve(port))
    except (ImportError, OSError) as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
