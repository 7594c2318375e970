"""A frame's way through the house can be read in an evening: so many files, and no more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from broker import Mosquitto

from edge.capture.synthetic import SCENES, SCENES_FOLDER

ROOT = Path(__file__).resolve().parents[2]
# What it is today; it may fall, and does not grow unseen.
MOST_FILES = 23
# Files whose lines run once the loop is under way, on any thread: what a frame passes.
TRACED = """
import sys, threading, time, pathlib
from edge import app
from edge.config.reading import parse

root = str(pathlib.Path(app.__file__).parent) + "/"
seen = set()
steady = threading.Event()

def trace(frame, event, argument):
    name = frame.f_code.co_filename
    if steady.is_set() and name.startswith(root):
        seen.add(name)

threading.setprofile(trace)
config = parse({"camera": {"source": "file:" + sys.argv[1]}, "mqtt": {"url": sys.argv[2]}})
with app.opened(config) as parts:
    # The broker has us before the first frame: a call is none of a frame's way.
    (sink,) = parts.sinks.fanout._sinks
    while not (sink.connected and sink._connection.is_idle):
        time.sleep(0.01)
    sys.setprofile(trace)
    count = 0
    def counted(observation):
        global count
        count += 1
        if count == 20:
            steady.set()
        if count == 60:
            steady.clear()
    parts.pipeline([counted]).run(max_frames=80)
    sys.setprofile(None)
print(*sorted(name.removeprefix(root) for name in seen), sep="\\n")
"""


@pytest.mark.broker
def test_a_frame_passes_no_more_files_than_today(tmp_path, mosquitto):
    clip = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (640, 480))
    # A person: of an empty scene nothing is dequantised, and nothing led back to source pixels.
    photo = cv2.resize(cv2.imread(str(SCENES_FOLDER / SCENES[0][0])), (640, 480))
    for _ in range(90):
        writer.write(photo)
    writer.release()
    with Mosquitto(mosquitto, tmp_path) as broker:
        url = f"mqtt://localhost:{broker.port}"
        result = subprocess.run(
            [sys.executable, "-c", TRACED, str(clip), url],
            check=True, capture_output=True, text=True, timeout=120, cwd=ROOT,
        )  # fmt: skip

    files = result.stdout.split()
    assert len(files) <= MOST_FILES, "\n".join(files)
