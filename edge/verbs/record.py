"""The verb `edge record`."""

from __future__ import annotations

import json
import logging
import threading
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import ConfigError, SourceError
from edge.terminal.command import add_verb, positive

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from edge.capture.recording import Recorder
    from edge.capture.source import Source
    from edge.config.camera import Camera

MAX_MIB = 1024
BYTES_PER_MIB = 2**20

logger = logging.getLogger(__name__)


def add(verbs: Any) -> None:  # noqa: ANN401
    """Add the verb to a command."""
    parser = add_verb(
        verbs,
        "record",
        "Write a source's frames and their times to a file that replay: plays.",
        run=run,
        examples=[
            "edge record v4l2:/dev/video0 --out door.rec --seconds 20",
            "edge record --config /etc/edge/door.toml --camera door --out door.rec",
        ],
    )
    parser.add_argument("source", metavar="SOURCE", nargs="?", help="a URI, as for edge run")
    parser.add_argument(
        "--config", metavar="CONFIG", type=Path, help="take a camera of this TOML file instead"
    )
    parser.add_argument("--camera", metavar="NAME", help="which camera of it")
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="what to write")
    parser.add_argument("--seconds", metavar="N", type=positive, help="stop after so long")
    parser.add_argument("--frames", metavar="N", type=positive, help="stop after N frames")
    parser.add_argument(
        "--max-mib", metavar="N", type=positive, default=MAX_MIB,
        help="stop before the file is larger (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="what was written as JSON")


def run(arguments: argparse.Namespace) -> None:
    """Record until the source ends, a limit is reached, or Ctrl-C."""
    from edge.capture.recording import Header, Recorder  # noqa: PLC0415 - `edge --help` needs none
    from edge.capture.registry import check_source, open_lasting, shown_source  # noqa: PLC0415
    from edge.record import storable  # noqa: PLC0415

    camera = _camera(arguments)
    check_source(camera.source, camera.options)
    header = Header(camera=camera.name, source=storable(shown_source(camera.source)))
    with (
        open_lasting(camera.source, camera.options) as source,
        Recorder(arguments.out, header, max_bytes=arguments.max_mib * BYTES_PER_MIB) as recorder,
    ):
        began_s = time.monotonic()
        try:
            _record(source, recorder, arguments)
        except SourceError:
            # What came before is kept, and plays.
            if recorder.frames:
                recorder.finish()
            raise
        elapsed_s = time.monotonic() - began_s
        if not recorder.frames:
            raise SourceError(
                f"{header.source} gave no frame, and nothing was written; give it longer"
            )
        recorder.finish()
    if arguments.json:
        told = {"file": str(arguments.out), "frames": recorder.frames, "bytes": recorder.bytes}
        print(json.dumps(told, indent=1))
        return
    print(
        f"{arguments.out}: {recorder.frames} frames in {elapsed_s:.1f} s, "
        f"{recorder.bytes / BYTES_PER_MIB:.1f} MiB; play it: "
        f"edge run --source replay:{arguments.out}"
    )


def _record(source: Source, recorder: Recorder, arguments: argparse.Namespace) -> None:
    """Read and write on one thread: what a camera gives meanwhile, its driver drops."""
    from edge.terminal.progress import bar  # noqa: PLC0415
    from edge.terminal.signals import ENDING, handling  # noqa: PLC0415

    # On a thread of its own: this one may hold the lock that an interrupt takes.
    interrupt = partial(threading.Thread, target=source.interrupt, daemon=True)
    buffer = None
    with (
        handling(dict.fromkeys(ENDING, lambda: interrupt().start())),
        _interrupted_after(arguments.seconds, source),
        bar("Recording", unit="MiB") as draw,
    ):
        while recorder.frames != arguments.frames:
            picture = source.read(buffer)
            if picture is None:
                return
            if not recorder.add(picture):
                logger.warning("--max-mib %d is reached: recording ends", arguments.max_mib)
                return
            buffer = picture.pixels
            if draw:
                draw(recorder.bytes // BYTES_PER_MIB, arguments.max_mib)


@contextmanager
def _interrupted_after(seconds: int | None, source: Source) -> Iterator[None]:
    """Interrupt a source after so long, also one that gives nothing; without seconds never."""
    timer = threading.Timer(seconds or 0, source.interrupt)
    timer.daemon = True
    if seconds is not None:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _camera(arguments: argparse.Namespace) -> Camera:
    """Return the one camera that is meant.

    Raises:
        ConfigError: None is, or more than one.
    """
    from edge.config.reading import load  # noqa: PLC0415

    if bool(arguments.source) == bool(arguments.config):
        raise ConfigError("expected a SOURCE or --config FILE; give one of them")
    if arguments.source and arguments.camera:
        raise ConfigError("expected --camera with --config alone, found a SOURCE; leave one out")
    if arguments.source:
        return load(None, {"camera": {"source": arguments.source}}).cameras[0]
    cameras = load(arguments.config, {}).cameras
    found = [camera for camera in cameras if arguments.camera in (None, camera.name)]
    if len(found) != 1:
        names = ", ".join(camera.name for camera in cameras)
        raise ConfigError(
            f"{arguments.config}: expected one camera; write --camera with one of {names}"
        )
    return found[0]
