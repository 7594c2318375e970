"""`edge run` of any checkout as a process, on a 720p clip and a broker, measured from outside.

Only what every revision has is used: the command, its configuration file, and the topic that ends
in `/detections`. What is measured comes from the broker's messages and from the kernel.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from edge.capture.synthetic import DEFAULT_SIZE_WH, FRAMES_PER_SCENE, SCENES, Scenes
from edge.demo import broker
from edge.errors import EdgeError, SinkError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psutil
    from typing_extensions import Self

# Every third frame of the demo: 40 of each scene. After as many the clip repeats itself, so that a
# window of that length holds the same pictures wherever it starts.
PERIOD_FRAMES = FRAMES_PER_SCENE // 3 * len(SCENES)
CLIP_FRAMES = 4 * PERIOD_FRAMES
CLIP_RATE_HZ = 30
MIB = 2**20
START_TIMEOUT_S, FRAME_TIMEOUT_S, END_TIMEOUT_S = 30.0, 0.5, 20.0
POLL_S = 0.002
# `edge run` with a thread beside it that answers each line on stdin with the traced bytes: the
# least of some looks, for a message on its way is no growth.
TRACED = """
import gc, sys, threading, time, tracemalloc
from edge.cli import main
def look():
    time.sleep(0.01)
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
def answer():
    for _ in sys.stdin:
        print(min(look() for _ in range(40)), flush=True)
threading.Thread(target=answer, daemon=True).start()
tracemalloc.start()
sys.exit(main(sys.argv[1:]))
"""


def make_clip(path: Path) -> Path:
    """Write the demo's scenes as a 1280x720 H.264 file of `CLIP_FRAMES`."""
    import av  # noqa: PLC0415 - the dev extra's encoder

    width, height = DEFAULT_SIZE_WH
    image = np.empty((height, width, 3), np.uint8)
    scenes = Scenes()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=CLIP_RATE_HZ)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "veryfast"}
        for index in range(CLIP_FRAMES):
            scenes.render(index % PERIOD_FRAMES * 3, out=image)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())
    return path


@contextmanager
def running_broker() -> Iterator[int]:
    """Run mosquitto, or the demonstration's broker where it is missing; give its port.

    The latter is Python and takes 20 times the CPU, from the cores that are measured.
    """
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if program is None:
        with broker.running() as port:
            yield port
        return
    port = broker.free_port()
    with subprocess.Popen([program, "-p", str(port)], stderr=subprocess.DEVNULL) as process:
        try:
            yield port
        finally:
            process.terminate()


class Messages:
    """Counts a device's detections on a broker, on a thread of its own.

    Args:
        port: Of the broker, on loopback.
        device: Its name, a level of the topic.

    Attributes:
        times_s: When each came, `time.perf_counter`.
        cameras: Whose it was: the next level of the topic.
    """

    def __init__(self, port: int, device: str) -> None:
        self.times_s: list[float] = []
        self.cameras: list[str] = []
        subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe(f"edge/{device}/#")
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = lambda _, __, message: self._count(message.topic)
        for _ in range(int(START_TIMEOUT_S / 0.1)):
            try:
                self._client.connect(broker.LOOPBACK, port)
                break
            except OSError:  # it is just starting
                time.sleep(0.1)
        self._client.loop_start()
        if not subscribed.wait(START_TIMEOUT_S):
            raise SinkError(f"the broker on port {port} did not answer; run the benchmark again")

    def _count(self, topic: str) -> None:
        if topic.endswith("/detections"):
            self.cameras.append(topic.split("/")[2])
            self.times_s.append(time.perf_counter())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@dataclass(frozen=True, slots=True)
class Window:
    """What one process did.

    Attributes:
        first_result_s: From its start until its first result was here.
        rate_hz: Results a second.
        cpu_ms: CPU time of the whole process for a frame.
        rss_mib: Resident memory at the end.
        cameras: Results of each camera.
        growth_bytes: Of what Python allocates, for a frame; `None` where that was not traced.
    """

    first_result_s: float
    rate_hz: float
    cpu_ms: float
    rss_mib: float
    cameras: dict[str, int]
    growth_bytes: float | None = None


class EdgeProcess:
    """`edge run` of one checkout.

    Args:
        tree: The checkout; its packages come before any that are installed.
        folder: For its configuration and its log; the working folder.
        port: Of the broker.
        traced: Python's allocations are counted.
        model: A `.tflite`; the built-in one without.
    """

    def __init__(
        self,
        tree: Path,
        folder: Path,
        *,
        port: int,
        traced: bool = False,
        model: Path | None = None,
    ) -> None:
        self._config = folder / "bench.toml"
        self._log = folder / "bench.log"
        self._port = port
        self._traced = traced
        self._model = f"file = '{model.resolve()}'\n" if model else ""
        # As of an installed package, whose bytecode pip has written: the first start writes it.
        kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        bytecode = {"PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
        self._environment = {**kept, **bytecode, "PYTHONPATH": str(tree)}
        self._starts = 0

    def run(self, clip: Path, *, lead: int, frames: int, cameras: int = 1) -> Window:
        """Start it, let `lead` frames pass, measure so many, and end it.

        Args:
            clip: What each camera shows, again and again.
            lead: Of all cameras together.
            frames: Likewise.
            cameras: How many; each is a `[[camera]]` of the one process.

        Raises:
            EdgeError: It ended, or gave no more results, or not those of every camera.
        """
        self._starts += 1
        device = f"bench-{os.getpid()}-{id(self)}-{self._starts}"
        self._config.write_text(
            f"[device]\nname = '{device}'\n"
            + _cameras(cameras, clip)
            + f"[model]\nthreads = 1\n{self._model}"
            f"[mqtt]\nurl = 'mqtt://{broker.LOOPBACK}:{self._port}'\n",
            encoding="utf-8",
        )
        with Messages(self._port, device) as messages, self._log.open("w") as log:
            started_s = time.perf_counter()
            with self._started(log) as process:
                try:
                    window = self._measured(process, messages, (lead, frames), started_s=started_s)
                finally:
                    process.terminate()
                    process.communicate(timeout=END_TIMEOUT_S)
        if len(window.cameras) != cameras:
            raise EdgeError(f"expected results of {cameras} cameras, found {window.cameras}")
        return window

    def _started(self, log: object) -> subprocess.Popen[str]:
        program = ["-c", TRACED] if self._traced else ["-m", "edge"]
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
            [sys.executable, *program, "run", self._config.name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            cwd=self._config.parent, env=self._environment, text=True,
        )  # fmt: skip

    def _measured(
        self,
        process: subprocess.Popen[str],
        messages: Messages,
        lead_and_frames: tuple[int, int],
        *,
        started_s: float,
    ) -> Window:
        import psutil  # noqa: PLC0415 - of the extra dev

        lead, frames = lead_and_frames
        kernel = psutil.Process(process.pid)
        self._wait(process, messages, 1)
        self._wait(process, messages, lead)
        first, first_bytes = self._look(process, messages, kernel)
        self._wait(process, messages, first[0] + frames)
        last, last_bytes = self._look(process, messages, kernel)
        done = last[0] - first[0]
        times_s = messages.times_s
        return Window(
            first_result_s=times_s[0] - started_s,
            rate_hz=done / (times_s[last[0] - 1] - times_s[first[0] - 1]),
            cpu_ms=(last[1] - first[1]) * 1e3 / done,
            rss_mib=kernel.memory_info().rss / MIB,
            cameras=dict(Counter(messages.cameras[first[0] : last[0]])),
            growth_bytes=(last_bytes - first_bytes) / done if self._traced else None,
        )

    def _look(
        self, process: subprocess.Popen[str], messages: Messages, kernel: psutil.Process
    ) -> tuple[tuple[int, float], int]:
        """Return (results so far, CPU seconds so far), and the traced bytes."""
        traced_bytes = 0
        if self._traced and process.stdin and process.stdout:
            process.stdin.write("\n")
            process.stdin.flush()
            traced_bytes = int(process.stdout.readline())
        times = kernel.cpu_times()
        return (len(messages.times_s), times.user + times.system), traced_bytes

    def _wait(self, process: subprocess.Popen[str], messages: Messages, count: int) -> None:
        """Wait for so many results."""
        timeout_s = START_TIMEOUT_S + count * FRAME_TIMEOUT_S
        until_s = time.perf_counter() + timeout_s
        while len(messages.times_s) < count:
            if process.poll() is not None or time.perf_counter() > until_s:
                said = self._log.read_text(errors="replace").strip().splitlines()
                raise EdgeError(
                    f"edge run gave {len(messages.times_s)} results of {count} in "
                    f"{timeout_s:g} s: {said[-1] if said else 'it said nothing'}"
                )
            time.sleep(POLL_S)


def _cameras(count: int, clip: Path) -> str:
    source = f"source = 'file:{clip}'\nloop = true\n"
    if count == 1:  # as every revision knows it
        return f"[camera]\n{source}"
    return "".join(f"[[camera]]\nname = 'camera{n}'\n{source}" for n in range(count))
