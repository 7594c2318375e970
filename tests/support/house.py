"""A house: a real broker, a real Home Assistant and the product beside them, which come and go."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from broker import Listener, Mosquitto
from home_assistant import HomeAssistant
from waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

SETTLED_S, BECOMES_S = 120.0, 90.0
# As a broker of a house keeps what is retained.
PERSISTENT = ("persistence true", "autosave_interval 1")
# Of these, what nobody has seen or pressed yet is unknown.
QUIET = {"event", "image", "button"}


class Device:
    """The product, as a program of its own.

    Args:
        folder: For its configuration, its state and its log.
    """

    def __init__(self, folder: Path) -> None:
        self.release = folder / "board/opt/edge/releases/0123456789ab"
        self.config, self.log = self.release / "device.toml", folder / "edge.log"
        self._environment = {"STATE_DIRECTORY": str(folder / "state"), "PATH": "/usr/bin:/bin"}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start; whoever needs it waits for what it publishes."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "edge", "run", str(self.config)],
                stdout=log,
                stderr=log,
                env=self._environment,
            )

    def stop(self, *, kill: bool = False) -> None:
        """End it as the system would, or a power cut."""
        if self._process is not None:
            (self._process.kill if kill else self._process.terminate)()
            self._process.wait(30)
            self._process = None


@dataclass
class House:
    """All three; each may be started and stopped alone.

    Args:
        installed: The folder of a Home Assistant.
        mosquitto: The broker's program.
        folder: For all that they write.
        configuration: Of the device, to which the broker's section is added.
    """

    installed: Path
    mosquitto: str
    folder: Path
    configuration: str
    results: list[bool] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        # What an earlier run left behind is retained, and would be announced again.
        (self.folder / "mosquitto.db").unlink(missing_ok=True)
        for name in ("state", "board"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        options = (*PERSISTENT, f"persistence_location {self.folder}/")
        self.broker = Mosquitto(self.mosquitto, self.folder, options=options)
        self.home = HomeAssistant(self.installed, self.folder)
        self.device = Device(self.folder)
        # As `edge install` lays it out.
        self.device.release.mkdir(parents=True)
        (self.device.release / "bundle.json").write_text('{"version": "0.1.0"}')
        self.installs = self.folder / "board/var/lib/edge-install"
        self.installs.mkdir(parents=True)
        self.expected: set[str] = set()

    def __enter__(self) -> Self:
        try:
            self.broker.start()
            self.say(f"Home Assistant answers after {self.home.start():.1f} s")
            self.home.set_up(self.broker.port)
            version = self.home.get("/api/config")["version"]
            self.say(f"Home Assistant {version}, {self.home.rss_mib():.0f} MiB")
            self.listener = Listener(self.broker.port)
            self.configure(self.configuration)
            self.device.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.device.stop(kill=True)
        self.home.stop(kill=True)
        self.broker.kill()

    def configure(self, text: str) -> None:
        """Write another configuration, for the device's next start."""
        broker = f'\n[mqtt]\ncommands = true\nurl = "mqtt://127.0.0.1:{self.broker.port}"\n'
        self.device.config.write_text(text + broker)

    def say(self, text: str) -> None:
        """Print, with the seconds since the beginning."""
        print(f"[{time.monotonic() - self.began:6.1f} s] {text}", flush=True)

    def check(self, name: str, *, ok: object, found: object = "") -> bool:
        """Print whether something is as it should be, and what it is where it is not."""
        self.results.append(bool(ok))
        self.say(f"ok    {name}" if ok else f"FAIL  {name}: {found}")
        return bool(ok)

    def becomes(self, name: str, look: Any, wanted: Any = None) -> bool:
        """Check that what is looked at becomes what is wanted, or comes true without that."""
        seen: Any = None

        def is_so() -> bool:
            nonlocal seen
            seen = look()
            time.sleep(0.05)
            return bool(seen) if wanted is None else bool(seen == wanted)

        return self.check(name, ok=eventually(is_so, timeout_s=BECOMES_S), found=seen)

    def entities(self) -> dict[str, str]:
        """Return the unique id of every entity of every device that came over MQTT."""
        found = [(name, each) for device in self.home.devices()
                 for name, each in device["entities"].items()]  # fmt: skip
        return {name: each["unique_id"] for name, each in found}

    def heard(self, topic: str) -> list[Any]:
        """Return what arrived on a topic of the device, as JSON."""
        return [json.loads(each) for each in self.listener.payloads(f"edge/porch/{topic}")]

    def births(self) -> int:
        """Return how often the device has said that it is there."""
        return self.listener.payloads("edge/porch/status").count(b"online")

    def unsettled(self) -> dict[str, str | None]:
        """Return the expected entities that have no state of their own, and what they have."""
        states = self.home.states()
        wrong: dict[str, str | None] = {}
        for name in self.expected:
            state = states[name]["state"] if name in states else None
            quiet = name.partition(".")[0] in QUIET and state == "unknown"
            if state in (None, "unavailable", "unknown") and not quiet:
                wrong[name] = state
        return wrong

    def settle(self) -> dict[str, str | None]:
        """Wait until every expected entity has its state; return those that have none."""
        wrong: dict[str, str | None] = {}

        def is_settled() -> bool:
            nonlocal wrong
            wrong = self.unsettled()
            time.sleep(0.1)
            return not wrong

        eventually(is_settled, timeout_s=SETTLED_S)
        return wrong


@dataclass
class Restarts:
    """What came of many restarts.

    Attributes:
        done: How many of each kind.
        stuck: Entities that had no state of their own in time.
        longest_s: Longest time from a restart to every state.
    """

    done: dict[str, int] = field(default_factory=dict)
    stuck: int = 0
    longest_s: float = 0.0


def restart(house: House, times: int, *, seed: int) -> Restarts:
    """Restart Home Assistant, the broker and the device in a random order, of this seed.

    Each is stopped as the system would, or killed as by a power cut; one in four restarts follows
    before all have come back from the one before.
    """
    choice = random.Random(seed)
    parts = {"Home Assistant": house.home, "broker": house.broker, "device": house.device}
    found = Restarts()
    for number in range(1, times + 1):
        name, kill = choice.choice([*parts]), choice.random() < 0.5
        began, heard = time.monotonic(), house.births()
        _stop(parts[name], kill=kill)
        parts[name].start()
        kind = f"{name} {'killed' if kill else 'stopped'}"
        found.done[kind] = found.done.get(kind, 0) + 1
        if number < times and choice.random() < 0.25:
            house.say(f"{number}: {kind}; the next one follows at once")
            continue
        if name == "device":
            # Until then an entity may still have the state from before.
            eventually(lambda before=heard: house.births() > before, timeout_s=SETTLED_S)
        wrong = house.settle()
        found.stuck += len(wrong)
        found.longest_s = max(found.longest_s, time.monotonic() - began)
        house.say(
            f"{number}: {kind}; {time.monotonic() - began:.1f} s" + f" STUCK {wrong}" * bool(wrong)
        )
    return found


def _stop(part: Any, *, kill: bool) -> None:
    if isinstance(part, Mosquitto):
        (part.kill if kill else part.stop)()
    else:
        part.stop(kill=kill)
