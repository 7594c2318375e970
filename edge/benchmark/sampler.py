"""Looks at the sensors beside the run, on a thread of its own."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from edge.cores import Cores, available_cores, confined

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from edge.benchmark.result import Sample
    from edge.benchmark.sensors import Sensors

PERIOD_S = 1.0
# Every so often also what costs a process: 10 ms in 5 s are 0.2 % of one core.
COMMANDS_EVERY = 5


class Sampler:
    """Samples from entering its `with` to leaving it, and at both ends.

    Args:
        sensors: Read by this thread.
        period_s: Between two samples.

    Attributes:
        samples: So far, oldest first.
        started_s: Monotonic clock, where the samples' time begins.
    """

    def __init__(self, sensors: Sensors, *, period_s: float = PERIOD_S) -> None:
        self.samples: list[Sample] = []
        self.started_s = time.monotonic()
        self._sensors = sensors
        self._period_s = period_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="edge-sensors", daemon=True)

    def __enter__(self) -> Self:
        self._look()
        # Off the interpreter's core, like everything else.
        with confined(Cores.divide(available_cores(), threads=1).others):
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._thread.join()
        self._look()

    def _look(self) -> None:
        self.samples.append(self._sensors.read_all(time.monotonic() - self.started_s))

    def _run(self) -> None:
        count = 1
        while not self._stopping.wait(self._period_s):
            if count % COMMANDS_EVERY:
                self.samples.append(self._sensors.read(time.monotonic() - self.started_s))
            else:
                self._look()
            count += 1
