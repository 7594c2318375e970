"""A real Home Assistant that is started, set up without its page, asked and stopped.

Everything goes over its own REST and websocket interfaces. One folder holds one installation, as
`scripts/homeassistant_test` makes it: a virtual environment, or a small Debian with one at /opt/ha.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waiting import eventually
from websockets.sync.client import connect

if TYPE_CHECKING:
    from collections.abc import Callable

URL = "http://127.0.0.1:8123"
CLIENT_ID = URL + "/"
START_S = 240.0
CONFIGURATION = """
homeassistant:
  name: Test
  unit_system: metric
  time_zone: UTC
  latitude: 0
  longitude: 0
  elevation: 0
  country: GB
  currency: EUR
logger:
  default: info
api:
config:
"""
# What an installation without a sound card, ffmpeg and a network says of itself, and what it says
# when somebody stops its broker.
NOISE = re.compile(
    r"Skipping pip installation|turbojpeg|ffmpeg|enabled IPv4|assist_pipeline|assist_satellite|"
    r"ai_task|marketplace|analytics|connection was lost|Failed to connect|Can't connect|"
    r"failed to receive on socket|"
    r"Disconnected from MQTT|Error talking to MQTT|No ACK from MQTT|not a clean shutdown|"
    r"has not been shutdown cleanly|could not validate that the sqlite3 database|"
    r"Ended unfinished session|\[homeassistant\.components\.recorder",
    re.IGNORECASE,
)


class HomeAssistant:
    """One Home Assistant, at its usual port: it wants a network namespace of its own.

    Args:
        installed: The folder of its installation.
        folder: For its log, and its configuration where it is a virtual environment.
    """

    def __init__(self, installed: Path, folder: Path) -> None:
        environment = ["env", "-i", "HOME=/root", "LANG=C.UTF-8", "PATH=/usr/bin:/bin"]
        self.log = folder / "home-assistant.log"
        if (installed / "opt").is_dir():
            self._config, inside = installed / "cfg", "/cfg"
            program = ["chroot", str(installed), *environment, "/opt/ha/bin/hass"]
        else:
            self._config = folder / "home-assistant"
            inside = str(self._config)
            program = [*environment, str(installed / "ha/bin/hass")]
        self._command = [*program, "-c", inside, "--skip-pip", "--log-no-color"]
        self._process: subprocess.Popen[bytes] | None = None
        self._token = ""
        self._socket: Any = None
        self._messages = 0
        shutil.rmtree(self._config, ignore_errors=True)
        self._config.mkdir(parents=True)
        (self._config / "configuration.yaml").write_text(CONFIGURATION)

    def start(self) -> float:
        """Start, and wait until it answers; return the seconds that it took."""
        began = time.monotonic()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, start_new_session=True
            )
        assert eventually(self._answers, timeout_s=START_S), "Home Assistant did not start"
        if self._token:
            self._open_socket()
        return time.monotonic() - began

    def stop(self, *, kill: bool = False) -> float:
        """End it as the system would, or a power cut; return the seconds that it took."""
        began = time.monotonic()
        if self._process is not None:
            self._close_socket()
            self._process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            self._process = None
        return time.monotonic() - began

    def rss_mib(self) -> float:
        """Return the memory that it takes."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def set_up(self, port: int) -> None:
        """Make the first user and the entry of the broker, as its page would."""
        user = {"name": "Test", "username": "test", "password": "test-test", "language": "en"}
        code = self.post("/api/onboarding/users", {"client_id": CLIENT_ID, **user})["auth_code"]
        form = {"grant_type": "authorization_code", "code": code, "client_id": CLIENT_ID}
        self._token = self._call("/auth/token", urllib.parse.urlencode(form).encode())[
            "access_token"
        ]
        self._open_socket()
        self._token = self.ask("auth/long_lived_access_token", client_name="test", lifespan=1)
        assert eventually(lambda: self.get("/api/config")["state"] == "RUNNING", timeout_s=60)
        flow = self.post("/api/config/config_entries/flow", {"handler": "mqtt"})
        fields = {field["name"] for field in flow["data_schema"]}
        answers: dict[str, Any] = {"broker": "127.0.0.1", "port": port}
        if "protocol" in fields:
            answers["protocol"] = "5"
        if "other_settings" in fields:
            answers["other_settings"] = {
                "set_client_cert": False, "set_ca_cert": "off", "transport": "tcp",
            }  # fmt: skip
        made = self.post(f"/api/config/config_entries/flow/{flow['flow_id']}", answers)
        assert made.get("type") == "create_entry", made

    def get(self, path: str) -> Any:
        """Return what REST says."""
        return self._call(path)

    def post(self, path: str, fields: dict[str, Any]) -> Any:
        """Return what REST answers."""
        return self._call(path, json.dumps(fields).encode())

    def ask(self, kind: str, **fields: Any) -> Any:
        """Return what the websocket answers."""
        self._messages += 1
        self._socket.send(json.dumps({"id": self._messages, "type": kind, **fields}))
        while True:
            answer = json.loads(self._socket.recv(30))
            if answer.get("id") == self._messages and answer["type"] == "result":
                assert answer["success"], answer
                return answer["result"]

    def heard(self, *, within_s: float = 0.2) -> list[dict[str, Any]]:
        """Return what the websocket says by itself."""
        events = []
        with contextlib.suppress(TimeoutError):
            while True:
                events.append(json.loads(self._socket.recv(within_s)))
        return events

    def call(self, service: str, entity: str, **fields: Any) -> None:
        """Have a service act on an entity."""
        self.post(f"/api/services/{service}", {"entity_id": entity, **fields})

    def states(self) -> dict[str, dict[str, Any]]:
        """Return the state of every entity."""
        return {each["entity_id"]: each for each in self.get("/api/states")}

    def state(self, entity: str) -> str | None:
        """Return the state of one; None where there is no such entity."""
        try:
            return str(self.get(f"/api/states/{entity}")["state"])
        except urllib.error.HTTPError:
            return None

    def image(self, entity: str) -> bytes:
        """Return the picture of an image; empty where there is none yet."""
        try:
            data: bytes = self._call(f"/api/image_proxy/{entity}", parse=bytes)
        except urllib.error.HTTPError:
            return b""
        return data

    def devices(self) -> list[dict[str, Any]]:
        """Return the devices that came over MQTT, each with its entities by their ids."""
        entities = self.ask("config/entity_registry/list")
        return [
            {**device, "entities": {each["entity_id"]: each for each in entities
                                    if each["device_id"] == device["id"]}}
            for device in self.ask("config/device_registry/list")
            if any(domain == "mqtt" for domain, _ in device["identifiers"])
        ]  # fmt: skip

    def orphans(self) -> list[str]:
        """Return the entities of MQTT that no device has."""
        entities = self.ask("config/entity_registry/list")
        return [
            each["entity_id"]
            for each in entities
            if each["platform"] == "mqtt" and not each["device_id"]
        ]

    def warnings(self) -> list[str]:
        """Return what its log complains of, tracebacks too, but for the noise of such a machine."""
        text = self.log.read_text(errors="replace")
        records = re.split(r"^(?=\d{4}-\d\d-\d\d \S+ [A-Z]+ )", text, flags=re.MULTILINE)
        wrong = [each for each in records if re.match(r"\S+ \S+ (WARNING|ERROR|CRITICAL) ", each)]
        return [each for each in wrong if not NOISE.search(each)]

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text(errors="replace")[-2000:]
        time.sleep(0.1)
        try:
            self._call("/api/onboarding")
        except urllib.error.HTTPError as error:
            return error.code == 404
        except (OSError, ValueError):
            return False
        return True

    def _call(
        self, path: str, body: bytes | None = None, *, parse: Callable[[bytes], Any] = json.loads
    ) -> Any:
        is_form = body is not None and not body.startswith(b"{")
        headers = {"Content-Type": "application/x-www-form-urlencoded" if is_form else "text/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(URL + path, data=body, headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - our own
            return parse(answer.read())

    def _open_socket(self) -> None:
        self._stack = contextlib.ExitStack()
        self._socket = self._stack.enter_context(
            connect("ws" + URL[4:] + "/api/websocket", max_size=None)
        )
        self._socket.recv(30)
        self._socket.send(json.dumps({"type": "auth", "access_token": self._token}))
        assert json.loads(self._socket.recv(30))["type"] == "auth_ok"
        self._messages = 0

    def _close_socket(self) -> None:
        if self._socket is not None:
            self._stack.close()
            self._socket = None
