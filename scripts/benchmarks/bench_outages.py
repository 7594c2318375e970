"""What an outage of a camera costs: how soon it is noticed, how soon over, and the CPU meanwhile.

The cameras are those of the tests, on the loopback interface: MJPEG, and RTSP where GStreamer's
server is installed. A dead one is watched for a minute.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.capture.registry import open_lasting
from edge.terminal.table import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))
import mjpeg_server
import ports
import rtsp_server

LONG_S, DEAD_S = 60.0, 60.0
AWAY_S = (3.0, 20.0)


class Watched(threading.Thread):
    """Reads a source to its end, and counts frames."""

    def __init__(self, source: Any) -> None:  # noqa: ANN401 - a `Reopening`
        super().__init__(daemon=True)
        self.source, self.frames = source, 0
        self.start()
        self.seconds_until(lambda: self.frames)

    def run(self) -> None:
        """Read."""
        while self.source.read(None):
            self.frames += 1

    def seconds_until(self, condition: Callable[[], object]) -> float:
        """Wait until something is so, and return for how long."""
        began_s = time.monotonic()
        while not condition() and time.monotonic() < began_s + LONG_S:
            time.sleep(0.005)
        return time.monotonic() - began_s


class Lines(logging.Handler):
    """Counts what is logged."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002
        """Count."""
        self.count += 1


def outages(name: str, camera: Any, url: str, hang: Callable[[bool], None]) -> Iterator[list[str]]:  # noqa: ANN401
    """Yield rows of one kind of camera: one that hangs, and one that loses its power."""
    with open_lasting(url, begin_closed=True) as source:
        watched = Watched(source)
        hang(True)  # noqa: FBT003
        noticed_s = watched.seconds_until(lambda: source.state == "offline")
        frames = watched.frames
        hang(False)  # noqa: FBT003
        again_s = watched.seconds_until(lambda: watched.frames > frames)
        yield [name, "hangs", f"{noticed_s:.2f}", f"{again_s:.2f}"]
        for away_s in AWAY_S:
            camera.stop()
            noticed_s = watched.seconds_until(lambda: source.state == "offline")
            time.sleep(away_s)
            frames = watched.frames
            camera.start()
            again_s = watched.seconds_until(lambda frames=frames: watched.frames > frames)
            yield [name, f"without power for {away_s:g} s", f"{noticed_s:.2f}", f"{again_s:.2f}"]


def dead(uri: str, lines: Lines) -> list[str]:
    """Return the row of a camera that is not there: CPU of this process and of its children."""
    lines.count, before = 0, os.times()
    with open_lasting(uri, begin_closed=True) as source:
        threading.Thread(target=source.read, args=(None,), daemon=True).start()
        time.sleep(DEAD_S)
    ratio = sum(after - was for after, was in zip(os.times()[:4], before, strict=False)) / DEAD_S
    return [uri.partition(":")[0], f"{100 * ratio:.2f}", str(lines.count)]


def main() -> None:
    """Print both tables."""
    lines = Lines()
    logging.getLogger().addHandler(lines)
    rows = []
    with mjpeg_server.MjpegCamera() as camera:
        modes = {True: "silent", False: "sends"}
        rows += outages("MJPEG", camera, camera.url, lambda on: setattr(camera, "mode", modes[on]))
    if reason := rtsp_server.missing():
        print(f"RTSP is left out: {reason}", file=sys.stderr)
    else:
        signals = {True: signal.SIGSTOP, False: signal.SIGCONT}
        with rtsp_server.RtspCamera() as camera:
            rows += outages("RTSP", camera, camera.url(), lambda on: camera.signal(signals[on]))
    print(render(["camera", "that", "noticed, s", "first frame again, s"], rows))
    port = ports.free_port()
    uris = [f"rtsp://127.0.0.1:{port}/x", f"http://127.0.0.1:{port}/x", "v4l2:/dev/video987"]
    print(
        render(
            ["dead source", "CPU of one core, %", "log lines a minute"],
            [dead(uri, lines) for uri in uris],
        )
    )


if __name__ == "__main__":
    main()
