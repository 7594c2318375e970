#!/usr/bin/env python3
"""Stands in for `rpicam-vid`: knows its options, and writes what it would with `--codec yuv420`.

Luma of frame k is 16 + k, U and V are 90 and 160. What libcamera says of the streams goes to
standard error, as from the real one. FAKE_RPICAM: what goes wrong, as KIND or KIND:FRAMES: "none"
(no camera), "ends", "silent", "gone" (killed), "deaf" (ends for SIGKILL only), "smaller" (another
size than asked for). FAKE_RPICAM_SEEN: a file for the arguments.
Source: rpicam-apps, core/options.cpp, core/video_options.hpp, apps/rpicam_vid.cpp,
encoder/null_encoder.cpp.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for flag in ("--nopreview", "-n", "--flush", "--hflip", "--vflip"):
        parser.add_argument(flag, action="store_true")
    for name in ("camera", "width", "height", "rotation", "shutter"):
        parser.add_argument(f"--{name}", type=int, default=0)
    for name in ("framerate", "gain", "brightness", "contrast", "ev", "saturation", "sharpness"):
        parser.add_argument(f"--{name}", type=float, default=0.0)
    parser.add_argument("--lens-position", type=str)
    parser.add_argument("--awb", choices=("auto", "incandescent", "daylight", "cloudy", "custom"))
    parser.add_argument("--autofocus-mode", choices=("default", "manual", "auto", "continuous"))
    parser.add_argument("--timeout", "-t", default="5sec")
    parser.add_argument("--codec", choices=("h264", "libav", "mjpeg", "yuv420"), default="h264")
    parser.add_argument("--output", "-o", default="")
    return parser.parse_args()


def fail(reason: str) -> None:
    print(f"ERROR: *** {reason} ***", file=sys.stderr, flush=True)
    sys.exit(255)


def main() -> None:
    asked = parsed()
    kind, _, frames = os.environ.get("FAKE_RPICAM", "").partition(":")
    if seen := os.environ.get("FAKE_RPICAM_SEEN"):
        Path(seen).write_text(json.dumps(sys.argv[1:]))
    if kind == "none" or asked.camera > 0:
        fail("no cameras available")
    if asked.rotation not in (0, 180):
        fail("transforms requiring transpose not supported")
    if kind == "deaf":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    width, height = asked.width, asked.height
    if kind == "smaller":
        width, height = width // 2, height // 2
    print(
        f"[1:02:03.456789012] [1234]  INFO Camera camera.cpp:1202 configuring streams: (0) "
        f"{width}x{height}-YUV420/sYCC (1) 1536x864-SBGGR10_CSI2P/RAW",
        file=sys.stderr, flush=True,
    )  # fmt: skip
    chroma = b"\x5a" * (width * height // 4) + b"\xa0" * (width * height // 4)
    for number in range(10_000):
        if frames and number == int(frames):
            give_up(kind)
        time.sleep(1 / (asked.framerate or 30))
        sys.stdout.buffer.write(bytes([16 + number % 200]) * (width * height) + chroma)
        sys.stdout.buffer.flush()


def give_up(kind: str) -> None:
    if kind == "ends":
        fail("failed to start camera")
    if kind == "gone":
        os.kill(os.getpid(), signal.SIGKILL)
    while True:
        time.sleep(1)


main()
