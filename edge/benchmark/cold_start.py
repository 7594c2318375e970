"""`edge run` as a process of its own: how soon its first result comes, and what memory it takes."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edge.benchmark.result import Start
from edge.errors import SourceError

if TYPE_CHECKING:
    from edge.config.sections import Config

# Enough for every buffer to have been used.
FRAMES = 30
MIB = 2**20
END_TIMEOUT_S = 10.0


def measure_start(config: Config, *, starts: int) -> Start:
    """Start the process several times, and once before, so that the disk's cache is warm.

    Args:
        config: Its camera and model are used; results go to a pipe as JSON lines.
        starts: >= 1.

    Raises:
        SourceError: A process ended without a result.
    """
    times_s: list[float] = []
    memories_mib: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "start.toml"
        path.write_text(_toml(config), encoding="utf-8")
        command = [sys.executable, "-m", "edge", "run", str(path)]
        # Paths in a file are relative to that file; on the command line they stay as they are.
        command += ["--source", config.cameras[0].source]
        for option, value in (
            ("--model", config.model.file), ("--description", config.model.description),
        ):  # fmt: skip
            command += [option, str(value)] if value else []
        for _ in range(starts + 1):
            first_s, resident_mib = _start(command)
            times_s.append(first_s)
            memories_mib.append(resident_mib)
    return Start(
        first_result_s=tuple(times_s[1:]), resident_mib=statistics.median(memories_mib[1:])
    )


def resident_mib(pid: int | str = "self") -> float:
    """Return a process' resident memory: the second field of `statm`, in pages."""
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize() / MIB


def _start(command: list[str]) -> tuple[float, float]:
    started_s = time.perf_counter()
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        lines = process.stdout
        assert lines is not None  # noqa: S101 - a pipe was asked for
        first = lines.readline()
        first_s = time.perf_counter() - started_s
        for _ in range(FRAMES):
            lines.readline()
        memory_mib = resident_mib(process.pid) if first and process.poll() is None else 0.0
        lines.close()
        process.terminate()
        process.wait(END_TIMEOUT_S)
        if not first:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip().splitlines()
            raise SourceError(f"edge run gave no result: {said[-1] if said else 'it said nothing'}")
    return first_s, memory_mib


def _toml(config: Config) -> str:
    """Return the configuration as a file, without its paths; JSON's values are TOML's."""
    camera = config.cameras[0].flat() | {"loop": True}
    del camera["source"]
    model = {
        key: value
        for key, value in config.model.plain().items()
        if value is not None and key not in ("file", "description")
    }
    lines = []
    for section, values in (("camera", camera), ("model", model)):
        lines.append(f"[{section}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join([*lines, "[output]", "jsonl = true"]) + "\n"
