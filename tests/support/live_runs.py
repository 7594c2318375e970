"""A pipeline that runs on a thread of its own, with what changes it, for the length of a block."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from waiting import eventually

from edge import app
from edge.config import reading
from edge.control import Answer, Control
from edge.verbs.check import examine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMEOUT_S = 60.0
# One camera that gives frames at once; a test adds where results go.
CONFIG = """
[device]
name = "{name}"
[camera]
source = "demo:"
realtime = false
rate_hz = 200
size_wh = [320, 240]
"""


class LiveRun:
    """What runs.

    Attributes:
        control: Changes it.
        parts: Of it.
        seen: Camera, sequence, task and labels found of each observation, in order.
        path: Of its configuration.
    """

    def __init__(self, parts: Any, path: Path) -> None:
        self.parts = parts
        self.path = path
        self.seen: list[tuple[str, int, str, int]] = []
        self.pipeline = parts.pipeline([self._see])
        self.control = Control(parts, lambda: reading.load(path, {}), file=path)
        self.failure: BaseException | None = None

    def _see(self, seen: Any) -> None:
        self.seen.append(
            (seen.camera, seen.sequence, type(seen.result).__name__, seen.dropped_frames)
        )

    def ask(self, name: str, **arguments: Any) -> Answer:
        """Ask for a command and wait for its answer."""
        return self.ask_raw(name, json.dumps(arguments).encode())

    def ask_raw(self, name: str, arguments: bytes) -> Answer:
        """Ask with any bytes."""
        answered = threading.Event()
        answers: list[Answer] = []
        self.control.request(
            name, arguments, answer=lambda given: (answers.append(given), answered.set())
        )
        assert answered.wait(TIMEOUT_S), f"{name} was not answered"
        return answers[0]

    def wait_for(self, more: int) -> bool:
        """Wait until so many more frames were seen."""
        wanted = len(self.seen) + more
        return eventually(lambda: len(self.seen) >= wanted or self.failure, timeout_s=TIMEOUT_S)

    def stands_still(self) -> bool:
        """Whether no frame comes for 0.2 s."""
        before = len(self.seen)
        time.sleep(0.2)
        return len(self.seen) == before

    def sequences(self, camera: str = "camera") -> list[int]:
        """Return the numbers of the frames that were seen of a camera."""
        return [sequence for name, sequence, *_ in self.seen if name == camera]


@contextmanager
def live_run(path: Path) -> Iterator[LiveRun]:
    """Run a configuration's file."""
    config = reading.load(path, {})
    file, faults = examine(config)
    assert file, faults
    with app.opened(config, file) as parts:
        run = LiveRun(parts, path)

        def work() -> None:
            try:
                run.pipeline.run()
            except BaseException as error:  # noqa: BLE001 - told to the test
                run.failure = error

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            with run.control:
                yield run
        finally:
            run.pipeline.stop()
            thread.join(TIMEOUT_S)
        assert run.failure is None
