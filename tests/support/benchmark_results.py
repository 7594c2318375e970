"""Results of `edge bench` that tests start from, changed by keyword."""

from __future__ import annotations

from edge.benchmark.result import (
    Host,
    Instrumentation,
    Percentiles,
    Result,
    Row,
    Sample,
    Setting,
    Window,
)

HOST = Host(
    board="Raspberry Pi 5 Model B Rev 1.0",
    os="Debian GNU/Linux 12 (bookworm)",
    kernel="6.6.31+rpt-rpi-2712",
    cpu="Cortex-A76 (aarch64)",
    cores=4,
    python="3.11.2",
    runtime="ai-edge-litert 2.3.0",
    version="0.1.0",
    governor="ondemand",
    load=0.1,
    date="2026-01-01T00:00:00+00:00",
)


def window(number=0, **changes):
    """Return a window of 100 frames in 1 s, 8 ms bare, 12 ms of CPU a frame."""
    fields = {
        "started_s": float(number),
        "bare_ms": 8.0,
        "bare_cpu_ms": 8.0,
        "frames": 100,
        "elapsed_s": 1.0,
        "cpu_ms": 12.0,
        "end_to_end_ms": 20.0,
        "dropped": 1,
    }
    return Window(**fields | changes)


def times(p50_ms=5.0):
    return Percentiles(count=500, p50_ms=p50_ms, p90_ms=6.0, p95_ms=7.0, p99_ms=8.0, max_ms=9.0)


def row(windows=None, **changes):
    fields = {
        "setting": Setting(model="tiny", file="tiny.tflite", digest="sha256:1", threads=2),
        "windows": tuple(windows or [window(number) for number in range(5)]),
        "bare": times(8.0),
        "stages": {name: times() for name in ("invoke", "publish", "age", "end to end")},
        "histogram_ms": (4.0, 8.0, 16.0),
        "histogram": (100, 300, 100),
    }
    return Row(**fields | changes)


def result(*rows, **changes):
    fields = {
        "host": HOST,
        "source": "demo:",
        "live": False,
        "duration_s": 60.0,
        "rows": rows or (row(),),
        "samples": (
            Sample(at_s=0, temperature_c=50.0, throttled=0x50000),
            Sample(at_s=1, temperature_c=81.5, throttled=0xD0008),
        ),
        "absent": ("no power sensor", "no clock frequency"),
        "instrumentation": Instrumentation(frame_us=7.0, sensors_us=100.0),
    }
    return Result(**fields | changes)
