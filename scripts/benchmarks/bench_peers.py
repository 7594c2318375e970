"""Measure this runtime beside what a user would pick instead: `scripts/bench --peers`.

Every peer runs the same network on the same H.264 clip, in its own process and its own environment
(`.envs/peers-*`, installed on demand), one interpreter thread each. Windows of all peers are
interleaved, and the order rotates; a figure is the median of its windows, with least and greatest.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import bench_document
import bench_peers_files
from bench_peers_worker import PeerError, Row, Worker
from edge_process import PERIOD_FRAMES

from edge.capture.synthetic import SCENES, SCENES_FOLDER
from edge.errors import EdgeError
from edge.model.default import default_model_path

LITERT = f"ai-edge-litert=={version('ai-edge-litert')}"
OPENCV = f"opencv-python-headless=={version('opencv-python-headless')}"
ONNXRUNTIME = ("peers-onnxruntime", (f"onnxruntime=={version('onnxruntime')}", OPENCV))
BARE, OURS = "bare invoke", "edge-vision pipeline"
ROWS = (
    Row(BARE, "ours.py", "bare"),
    Row(OURS, "ours.py", "pipeline"),
    Row("LiteRT + OpenCV loop", "litert.py", "raw", "peers-litert", (LITERT, OPENCV)),
    Row(
        "LiteRT + OpenCV loop, decoded in the graph",
        "litert.py",
        "decoded",
        "peers-litert",
        (LITERT, OPENCV),
    ),
    Row(
        "MediaPipe ObjectDetector, VIDEO",
        "mediapipe_tasks.py",
        "VIDEO",
        "peers-mediapipe",
        ("mediapipe==1.2.2",),
    ),
    Row(
        "MediaPipe ObjectDetector, LIVE_STREAM, 2 in flight",
        "mediapipe_tasks.py",
        "LIVE_STREAM",
        "peers-mediapipe",
        ("mediapipe==1.2.2",),
    ),
    Row(
        "supervision loop, with drawing",
        "litert.py",
        "supervision",
        "peers-supervision",
        ("supervision==0.31.2", LITERT, OPENCV),
    ),
    Row("onnxruntime, int8 ONNX", "onnx_files.py", "onnxruntime:int8.onnx", *ONNXRUNTIME),
    Row("OpenCV DNN, int8 .tflite", "onnx_files.py", "opencv:model.tflite", *ONNXRUNTIME),
    Row("OpenCV DNN, float ONNX", "onnx_files.py", "opencv:float.onnx", *ONNXRUNTIME),
    Row("OpenCV DNN, int8 ONNX", "onnx_files.py", "opencv:int8.onnx", *ONNXRUNTIME),
)
LEAD_FRAMES = 20
LONGEST_S = 4.0  # of a window, for which a slow peer gets fewer frames
LEAST_FRAMES = 24


@dataclass
class Measured:
    """What was measured of one peer; `reason` says why there is no more."""

    row: Row
    worker: Worker | None = None
    frames: int = PERIOD_FRAMES
    reason: str = ""
    start_s: list[float] = field(default_factory=list)
    clip_ms: list[float] = field(default_factory=list)
    share: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    ram_ms: list[float] = field(default_factory=list)
    rss_mib: list[float] = field(default_factory=list)
    labels: list[list[str]] = field(default_factory=list)


def main() -> int:
    """Print the table, and write it where that is asked for."""
    parser = argparse.ArgumentParser(prog="scripts/bench --peers", description=__doc__)
    parser.add_argument("--model", type=Path, default=default_model_path(), help="an SSD .tflite")
    parser.add_argument("--rounds", type=int, default=6, help="windows of each peer (6)")
    parser.add_argument("--frames", type=int, help="frames of a window (the clip's period)")
    parser.add_argument("--starts", type=int, default=5, help="timed starts of each peer (5)")
    parser.add_argument("--only", help="peers whose name contains this, beside ours")
    parser.add_argument("--write", type=Path, metavar="FILE", help="document to update")
    arguments = parser.parse_args()
    try:
        measured = measure(arguments)
        text = report(measured, ["--peers", *sys.argv[1:]])
        print(text)
        if arguments.write:
            bench_document.write_section(arguments.write, "peers", text)
    except EdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def measure(arguments: argparse.Namespace) -> list[Measured]:
    """Start every peer, run the rounds, and end them."""
    only = arguments.only
    rows = [r for r in ROWS if not only or r.name in (BARE, OURS) or only.lower() in r.name.lower()]
    measured = [Measured(row) for row in rows]
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        bench_peers_files.prepare(folder, arguments.model)
        for peer in measured:
            if arguments.frames:
                peer.frames = arguments.frames
            start(peer, folder, starts=arguments.starts)
            if peer.worker:
                stack.enter_context(peer.worker)
        for number in range(arguments.rounds):
            one_round(measured, number, source="clip")
        for number in range(arguments.rounds):
            one_round(measured, number, source="ram")
    return measured


def start(peer: Measured, folder: Path, *, starts: int) -> None:
    """Start a peer several times, the first one untimed (it warms the disk cache); keep the last.

    What it finds in the demo's photographs is kept, and how many frames a window may have.
    """
    try:
        for attempt in range(starts + 1):
            if peer.worker:
                peer.worker.close()
            peer.worker = Worker(peer.row, folder)
            if attempt:
                peer.start_s.append(peer.worker.start_s)
        peer.labels = [peer.worker.labels(SCENES_FOLDER / scene[0]) for scene in SCENES]
        trial = peer.worker.run("clip", lead=0, frames=min(LEAST_FRAMES, peer.frames))
        affordable = int(LONGEST_S * trial["frames"] / trial["elapsed_s"])
        peer.frames = min(peer.frames, max(LEAST_FRAMES, affordable))
    except PeerError as error:
        fail(peer, error)


def fail(peer: Measured, error: PeerError) -> None:
    """Keep why a peer is out."""
    peer.reason = str(error)
    if peer.worker:
        peer.worker.close()
    peer.worker = None


def one_round(measured: list[Measured], number: int, *, source: str) -> None:
    """Run one window of every peer that lives, a different one first each time."""
    shift = number % len(measured)
    window_ms: dict[str, float] = {}
    for peer in measured[shift:] + measured[:shift]:
        if peer.worker is None:
            continue
        try:
            window = peer.worker.run(source, lead=LEAD_FRAMES, frames=peer.frames)
        except PeerError as error:
            fail(peer, error)
            continue
        window_ms[peer.row.name] = window["elapsed_s"] * 1e3 / window["frames"]
        if source == "clip":
            peer.clip_ms.append(window_ms[peer.row.name])
            peer.cpu_ms.append(window["cpu_s"] * 1e3 / window["frames"])
            peer.rss_mib.append(window["rss_mib"])
        else:
            peer.ram_ms.append(window_ms[peer.row.name])
    if source == "clip" and BARE in window_ms:
        for peer in measured:
            if peer.row.name in window_ms:
                peer.share.append(window_ms[BARE] / window_ms[peer.row.name])


def spread(values: list[float], digits: int) -> str:
    """Return the median, with least and greatest."""
    if not values:
        return "-"
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({least:.{digits}f} to {most:.{digits}f})"


def report(measured: list[Measured], arguments: list[str]) -> str:
    """Return the table with what it was measured on, and who is ahead of us in what."""
    headers = ["peer", "ms/frame", "frames/s", "share of 1/bare", "ms/frame, frames in RAM"]
    headers += ["CPU ms/frame", "RSS MiB", "start → first result, s"]
    rows = [
        [
            peer.row.name,
            spread(peer.clip_ms, 2) if peer.clip_ms else "does not run, see below",
            spread([1e3 / ms for ms in peer.clip_ms], 1),
            spread(peer.share, 2),
            spread(peer.ram_ms, 2),
            spread(peer.cpu_ms, 2),
            spread(peer.rss_mib, 0),
            spread(peer.start_s, 2),
        ]
        for peer in measured
    ]
    parts = [bench_document.heading(arguments), bench_document.table(headers, rows)]
    parts.append("\n".join([*remarks(measured), *missing(measured), *same_work(measured)]))
    return "\n\n".join(parts)


def remarks(measured: list[Measured]) -> list[str]:
    """Return, figure by figure, which peers have a better median than ours."""
    ours = next((peer for peer in measured if peer.row.name == OURS and peer.clip_ms), None)
    if ours is None:
        return []
    figures = {
        "ms/frame": "clip_ms",
        "ms/frame with frames in RAM": "ram_ms",
        "CPU ms/frame": "cpu_ms",
        "RSS": "rss_mib",
        "start → first result": "start_s",
    }
    lines = []
    for title, name in figures.items():
        values = getattr(ours, name)
        ahead = [
            f"{peer.row.name} ({statistics.median(theirs) / statistics.median(values):.2f} of ours)"
            for peer in measured
            for theirs in [getattr(peer, name)]
            if peer.row.name not in (OURS, BARE)
            and theirs
            and values
            and statistics.median(theirs) < statistics.median(values)
        ]
        lines.append(f"- Ahead of us in {title}: {', '.join(ahead) or 'none'}.")
    return lines


def missing(measured: list[Measured]) -> list[str]:
    """Return why each peer that is not in the table is not."""
    return [f"- {peer.row.name}: {peer.reason}" for peer in measured if peer.reason]


def same_work(measured: list[Measured]) -> list[str]:
    """Return what each peer found in the demo's photographs, compared with ours."""
    found = {peer.row.name: peer.labels for peer in measured if peer.labels}
    ours = found.get(OURS)
    if ours is None:
        return []
    texts = "; ".join(", ".join(labels) or "nothing" for labels in ours)
    lines = [f"- Labels in {', '.join(scene[0] for scene in SCENES)}: {texts}."]
    for name, labels in found.items():
        if name in (OURS, BARE):
            continue
        same = sum(a == b for a, b in zip(labels, ours, strict=True))
        other = "" if same == len(ours) else f", found {labels}"
        lines.append(f"  - {name}: the same in {same} of {len(ours)}{other}")
    versions = dict.fromkeys(
        peer.worker.versions for peer in measured if peer.worker and peer.clip_ms
    )
    return [*lines, f"- Versions: {'; '.join(versions)}."]


if __name__ == "__main__":
    sys.exit(main())
