"""What the preview costs beside all else that there is: watched by nobody and by one, in turn.

Usage: scripts/bench --preview [--pairs N] [--seconds S]

The viewer is a process of its own that reads the stream and throws it away, as a browser on another
machine would be. On a machine with other work the frames a second of single windows say little;
the CPU time of a frame says more.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edge import app
from edge.config.reading import parse
from edge.control import Control
from edge.demo import broker
from edge.draw.annotated import jpeg
from edge.web.preview import Preview

if TYPE_CHECKING:
    from edge.web.view import View

VIEWER = """
import socket, sys
viewer = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
viewer.sendall(b"GET /stream.mjpg HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
while viewer.recv(1 << 20): pass
"""
CONFIG: dict[str, Any] = {
    "camera": {"source": "demo:", "realtime": False},
    "zone": {"name": "zone", "polygon": [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]},
    "line": {"name": "line", "from": [0.5, 0.1], "to": [0.5, 0.9]},
    "tracking": {},
    "selfcheck": {},
    "homeassistant": {},
    "web": {"port": 0},
}
WARM_UP_S, SETTLE_S = 3.0, 0.5
CALLS = 2000
DRAWN = 50


class Window(NamedTuple):
    """Of one window: frames and pictures a second, CPU milliseconds a frame."""

    frames_hz: float
    pictures_hz: float
    cpu_ms: float


def window(view: View, seconds: float) -> Window:
    """Return what one window saw."""
    frames, pictures, cpu_s, began_s = view.frames, view.encoded, time.process_time(), _now_s()
    time.sleep(seconds)
    took_s, done = _now_s() - began_s, view.frames - frames
    return Window(
        done / took_s,
        (view.encoded - pictures) / took_s,
        (time.process_time() - cpu_s) * 1e3 / max(1, done),
    )


def measure(preview: Preview, port: int, arguments: argparse.Namespace) -> None:
    """Print windows, pair by pair, and what they come to."""
    (view,) = preview.views.values()
    time.sleep(WARM_UP_S)
    ratios, nobody, one = [], [], []
    print("frames/s nobody  one   | CPU ms a frame nobody  one  | pictures/s nobody  one")
    for pair in range(arguments.pairs):
        seen = {}
        for watched in (False, True) if pair % 2 else (True, False):
            viewer = (
                subprocess.Popen([sys.executable, "-c", VIEWER, str(port)]) if watched else None
            )
            time.sleep(SETTLE_S)
            seen[watched] = window(view, arguments.seconds)
            if viewer:
                viewer.kill()
                viewer.wait()
        alone, shown = seen[False], seen[True]
        nobody.append(alone)
        one.append(shown)
        ratios.append(shown.frames_hz / alone.frames_hz)
        print(
            f"{alone.frames_hz:15.1f} {shown.frames_hz:6.1f} | {alone.cpu_ms:20.2f} "
            f"{shown.cpu_ms:6.2f} | {alone.pictures_hz:16.1f} {shown.pictures_hz:5.1f}"
        )
    low, middle, high = np.percentile(ratios, (25, 50, 75))
    cpu = [float(np.median([each.cpu_ms for each in windows])) for windows in (nobody, one)]
    print(f"\nthroughput watched by one / by nobody: {middle:.3f} (quartiles {low:.3f} {high:.3f})")
    print(f"CPU of a frame: {cpu[0]:.2f} ms by nobody, {cpu[1]:.2f} ms by one")
    print(f"pictures drawn while nobody looked: {sum(each.pictures_hz for each in nobody):g}")
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    print(f"resident memory: {pages * os.sysconf('SC_PAGE_SIZE') / 2**20:.0f} MiB")


def costs(preview: Preview) -> None:
    """Print the CPU time of single steps."""
    (view,) = preview.views.values()
    if view.kept is None:
        raise SystemExit("no picture was drawn; give --seconds more")
    kept, description, _ = view.kept
    began_s = time.thread_time()
    for _ in range(CALLS):
        preview(kept)
    print(f"a frame that nobody looks at: {(time.thread_time() - began_s) * 1e6 / CALLS:.1f} µs")
    began_s = time.thread_time()
    for _ in range(DRAWN):
        jpeg(kept, description, max_side_px=960)
    print(f"drawing and encoding: {(time.thread_time() - began_s) * 1e6 / DRAWN:.0f} µs")


def main() -> None:
    """Start a broker, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=8, help="of windows")
    parser.add_argument("--seconds", type=float, default=3.0, help="of a window")
    arguments = parser.parse_args()
    with broker.running() as mqtt_port:
        run(arguments, f"mqtt://127.0.0.1:{mqtt_port}")


def run(arguments: argparse.Namespace, mqtt_url: str) -> None:
    """Run the pipeline with everything on, and measure beside it."""
    config = parse({**CONFIG, "mqtt": {"url": mqtt_url}})
    with app.opened(config) as parts:
        preview = Preview(config.web, parts)
        pipeline = parts.pipeline([preview])

        def beside() -> None:
            with preview.served(Control(parts)) as url:
                measure(preview, int(url.rstrip("/").rpartition(":")[2]), arguments)
            pipeline.stop()

        thread = threading.Thread(target=beside)
        thread.start()
        pipeline.run()
        thread.join()
        costs(preview)


def _now_s() -> float:
    return time.monotonic()


if __name__ == "__main__":
    main()
