"""What stands around a board: a broker and a web server on the loopback, behind QEMU's relays."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import paho.mqtt.client as mqtt

from boardtest.steps import TestFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# QEMU starts one of these for a connection; what it was given on its input goes to the port.
RELAY = """#!/usr/bin/python3 -S
import os, socket, sys, threading
peer = socket.create_connection(("127.0.0.1", {port}))
def back():
    while data := peer.recv(65536):
        while data:
            data = data[os.write(1, data):]
    os._exit(0)
threading.Thread(target=back, daemon=True).start()
while data := os.read(0, 65536):
    peer.sendall(data)
"""


def relay(folder: Path, port: int) -> Path:
    """Write a program that connects its input and output to a port of the loopback."""
    path = folder / f"relay-{port}"
    path.write_text(RELAY.format(port=port))
    path.chmod(0o755)
    return path


class Messages:
    """What arrives at the broker: time, topic and payload, oldest first."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self.seen: list[tuple[float, str, bytes]] = []
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self.client.username_pw_set(user, password)
        self.client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self.client.on_message = lambda _, __, message: self._keep(message)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _keep(self, message: mqtt.MQTTMessage) -> None:
        if not message.retain:
            self.seen.append((time.monotonic(), message.topic, message.payload))

    def since(self, began: float, ending: str) -> list[tuple[float, str, bytes]]:
        """Return the messages from a time on whose topic has this ending."""
        return [seen for seen in self.seen if seen[0] >= began and seen[1].endswith(ending)]

    def send(self, topic: str, payload: str) -> None:
        """Publish, as whoever commands a board."""
        self.client.publish(topic, payload, 1).wait_for_publish(10)


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def broker(folder: Path, port: int, user: str, password: str) -> Iterator[Messages]:
    """Run a broker that wants a password for the length of the block."""
    subprocess.run(["mosquitto_passwd", "-c", "-b", folder / "users", user, password], check=True)
    (folder / "users").chmod(0o644)
    lines = f"listener {port} 127.0.0.1", f"password_file {folder}/users", "user root"
    (folder / "broker.conf").write_text("\n".join(lines))
    with subprocess.Popen(
        ["mosquitto", "-c", folder / "broker.conf"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            messages = _connected(port, user, password)
            try:
                yield messages
            finally:
                messages.client.loop_stop()
        finally:
            process.terminate()


def _connected(port: int, user: str, password: str) -> Messages:
    for _ in range(100):
        with suppress(OSError):
            return Messages(port, user, password)
        time.sleep(0.1)
    raise TestFailed(f"mosquitto does not listen on 127.0.0.1:{port}")


@contextmanager
def served(folder: Path) -> Iterator[int]:
    """Serve a folder over HTTP on the loopback for the length of the block; give the port."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
