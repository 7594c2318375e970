"""A real mosquitto on a loopback port of its own, and a client that listens to it."""

from __future__ import annotations

import getpass
import shutil
import signal
import socket
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from ports import free_port
from waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typing_extensions import Self


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate, which is its own authority."""

    certificate: Path
    key: Path

    @classmethod
    def make(
        cls,
        folder: Path,
        *,
        names: str = "IP:127.0.0.1,DNS:localhost",
        dates: tuple[str, str] | None = None,
    ) -> Certificate:
        """Let openssl make one, for the loopback and of today unless told."""
        if shutil.which("openssl") is None:
            pytest.skip("no openssl")
        folder.mkdir()
        made = cls(folder / "certificate.pem", folder / "key.pem")
        usage = "keyUsage=critical,digitalSignature,keyCertSign"
        (folder / "extensions").write_text(
            f"subjectAltName={names}\n{usage}\nbasicConstraints=critical,CA:TRUE\n"
            "subjectKeyIdentifier=hash\n"
        )
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
                *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
                *("-addext", f"subjectAltName={names}"),
                *("-addext", usage),
                *("-keyout", str(made.key), "-out", str(made.certificate)),
            ],
            check=True,
            capture_output=True,
        )
        return made._dated(*dates) if dates else made

    def _dated(self, begins: str, ends: str) -> Certificate:
        """Sign the certificate anew, for these dates alone."""
        folder = self.certificate.parent
        (folder / "index").touch()
        (folder / "ca.cnf").write_text(
            f"[ca]\ndefault_ca = own\n[own]\ndatabase = {folder}/index\nnew_certs_dir = {folder}\n"
            "default_md = sha256\npolicy = any\nrand_serial = yes\n[any]\ncommonName = supplied\n"
        )
        subprocess.run(
            [
                *("openssl", "ca", "-batch", "-notext", "-config", str(folder / "ca.cnf")),
                *("-startdate", begins, "-enddate", ends, "-ss_cert", str(self.certificate)),
                *("-cert", str(self.certificate), "-keyfile", str(self.key)),
                *("-extfile", str(folder / "extensions")),
                *("-out", str(folder / "dated.pem")),
            ],
            check=True,
            capture_output=True,
        )
        return Certificate(folder / "dated.pem", self.key)


class Mosquitto:
    """One broker that can be stopped, killed and started again on the same port.

    Args:
        program: Path of mosquitto.
        folder: For its configuration and its log.
        options: Lines of its configuration besides the listener.
    """

    def __init__(self, program: str, folder: Path, *, options: tuple[str, ...] = ()) -> None:
        self.port = free_port()
        self._program = program
        self._folder = folder
        self._config = folder / "mosquitto.conf"
        anonymous = "" if any("password_file" in line for line in options) else "true"
        lines = (
            f"listener {self.port} 127.0.0.1",
            f"allow_anonymous {anonymous or 'false'}",
            f"user {getpass.getuser()}",
            "log_type all",
            *options,
        )
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def log(self) -> str:
        """What the broker wrote so far."""
        return (self._folder / "mosquitto.log").read_text(errors="replace")

    def start(self) -> None:
        """Start, and wait until it answers."""
        with (self._folder / "mosquitto.log").open("ab") as output:
            self._process = subprocess.Popen(
                [self._program, "-c", str(self._config)], stdout=output, stderr=output
            )
        assert eventually(self._answers), self.log

    def stop(self) -> None:
        """End it as the system would."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(60)
            self._process = None

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Let the broker do nothing for the length of the block; the system takes its calls."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=10).close()
        except OSError:
            return False
        return True


class Listener:
    """A separate client that records what arrives on `edge/#`.

    Args:
        port: Of the broker.
        session: Its name at the broker, which then keeps for it what comes while it is away.

    Attributes:
        messages: Topic, payload and whether it was retained, in order.
    """

    def __init__(self, port: int, *, session: str = "") -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        subscribed = threading.Event()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=session, clean_session=not session
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("edge/#", qos=1)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert subscribed.wait(60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def payloads(self, topic: str) -> list[bytes]:
        """Return what arrived on a topic."""
        return [payload for name, payload, _ in self.messages if name == topic]

    def _on_message(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        self.messages.append((message.topic, message.payload, message.retain))
