"""What becomes of events on the disk spool while broker and device are restarted and killed.

A device of its own process hands numbered events to the product's sink, and tells each one that was
accepted. The broker is stopped as the system does it and keeps its sessions; the device is killed
without warning. A subscriber with a session that lasts counts what arrives.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edge.terminal.table import render

if TYPE_CHECKING:
    from collections.abc import Callable

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))
from broker import Listener, Mosquitto
from waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
TOPIC = "edge/porch/front/events"
PATIENCE_S = 60.0
DEVICE = """
import sys, time
from edge.config.mqtt import Mqtt
from edge.messages.envelope import Message
from edge.sinks.mqtt import open_mqtt

port, number, period_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
sink = open_mqtt(Mqtt(url="mqtt://127.0.0.1:" + port, spool="disk"), name="mqtt", device="porch")
while True:
    sink.send(Message("edge/porch/front/events", b"%d" % number, policy="event"))
    print(number, flush=True)
    number += 1
    time.sleep(period_s)
"""


def until(condition: Callable[[], object]) -> None:
    """Wait until something is so; end where that takes too long."""
    if not eventually(condition, timeout_s=PATIENCE_S):
        sys.exit(f"something that should take a moment took over {PATIENCE_S:g} s")


@dataclass
class Device:
    """A device that is started and killed; it goes on counting where it was."""

    port: int
    state: Path
    period_s: float
    accepted: list[int] = field(default_factory=list)

    def start(self) -> None:
        """Start, and wait until it has an event accepted."""
        before = len(self.accepted)
        number = before and self.accepted[-1] + 1
        self._process = subprocess.Popen(
            [sys.executable, "-c", DEVICE, str(self.port), str(number), str(self.period_s)],
            stdout=subprocess.PIPE,
            env={"XDG_STATE_HOME": str(self.state), "PYTHONPATH": str(ROOT)},
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        until(lambda: len(self.accepted) > before)

    def kill(self) -> None:
        """End it as a power cut would; what it told before is read."""
        self._process.kill()
        self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)

    def goes_on(self, events: int) -> None:
        """Wait until it has had so many more accepted."""
        wanted = len(self.accepted) + events
        until(lambda: len(self.accepted) >= wanted)

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        # A last line without an end is of an event of which nobody was told.
        for line in process.stdout or ():
            if line.endswith(b"\n"):
                self.accepted.append(int(line))


@dataclass(frozen=True)
class Outcome:
    """What became of the events.

    Attributes:
        accepted: That the device was told it has handed over.
        lost: Of those, the numbers that never arrived.
        duplicates: Arrivals beyond the first of each number.
        in_order: Each number arrived first after all smaller ones.
    """

    accepted: int
    lost: list[int]
    duplicates: int
    in_order: bool


def measure(program: str, folder: Path, *, restarts: int, kills: int, period_s: float) -> Outcome:
    """Restart the broker and kill the device so often, in turn; some events between all of it."""
    options = ("persistence true", f"persistence_location {folder}/", "max_queued_messages 0")
    with (
        Mosquitto(program, folder, options=options) as broker,
        Listener(broker.port, session="counter") as subscriber,
    ):
        device = Device(broker.port, folder / "state", period_s)
        device.start()
        every = max(1, restarts // kills)
        for number in range(max(restarts, kills * every)):
            device.goes_on(20)
            if number < restarts:
                broker.stop()
            if number % every == 0:
                device.goes_on(10)
                device.kill()  # while the broker is away, and what it held is on the disk alone
                device.start()
            device.goes_on(10)
            if number < restarts:
                broker.start()
        device.goes_on(20)
        device.kill()
        device.start()
        device.kill()
        told = list(device.accepted)
        device.start()
        eventually(lambda: not set(told) - set(_arrived(subscriber)), timeout_s=PATIENCE_S)
        device.kill()
    arrived = _arrived(subscriber)
    first = list(dict.fromkeys(arrived))
    return Outcome(
        accepted=len(told),
        lost=sorted(set(told) - set(first)),
        duplicates=len(arrived) - len(first),
        in_order=first == sorted(first),
    )


def _arrived(subscriber: Listener) -> list[int]:
    """Return every number that arrived, through restarts of the broker."""
    return [int(payload) for payload in subscriber.payloads(TOPIC)]


def main() -> None:
    """Print a table; the status is 1 where one was lost or came out of order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--period-ms", type=float, default=10.0)
    arguments = parser.parse_args()
    program = shutil.which("mosquitto") or sys.exit("no mosquitto: apt install mosquitto")
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(
            program,
            Path(folder),
            restarts=arguments.restarts,
            kills=arguments.kills,
            period_s=arguments.period_ms / 1000,
        )
    columns = ["broker restarts", "kills", "events", "lost", "duplicates, %", "in order", "s"]
    row = [
        *(str(each) for each in (arguments.restarts, arguments.kills, found.accepted)),
        str(len(found.lost)),
        f"{100 * found.duplicates / found.accepted:.2f}",
        "yes" if found.in_order else "NO",
        f"{time.monotonic() - began_s:.0f}",
    ]
    print(render(columns, [row]))
    sys.exit(bool(found.lost) or not found.in_order)


if __name__ == "__main__":
    main()
