"""The trial of a model: its first load and invoke, in a child that may die of it.

What `edge.model.structure` finds sound can still end a process: kernels trust the sizes that they
are handed. The limits are no sandbox: they keep a damaged file from taking the service or the board
with it, not a program that took the child over from what this user may do.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from edge.errors import ModelError
from edge.model import first_run
from edge.model.backend import backend_module
from edge.model.delegates import EDGE_TPU_OP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.model.model_file import ModelFile

log = logging.getLogger(__name__)

MIB = 2**20
# Beside eight times the model: weights are unpacked, and the arena of a float U-Net of 512 x 512
# takes 300 MiB. The shipped model takes 12 MiB.
MEMORY_BYTES, MEMORY_PER_MODEL = 1024 * MIB, 8
# A Raspberry Pi Zero 2 starts Python and the runtime from a cold card in 6 s or so.
TRIAL_S = 60
LOG_BYTES = MIB
SHOWN_CHARACTERS = 300
REMEMBERED = "tried_models.txt"
MAX_REMEMBERED = 100  # of the newest
DAMAGED = "the model is damaged or hostile: copy it or convert it again"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a trial may take.

    Attributes:
        memory_bytes: Address space, beside what Python and the runtime have.
        time_s: Of the clock, and of the CPU.
    """

    memory_bytes: int
    time_s: int = TRIAL_S


def admit(file: ModelFile, *, state_folder: Path | None) -> None:
    """Let a model through that has run once in a child, now or before.

    Call it with what `edge.model.structure.check` accepted, before the runtime is handed the bytes.
    A model compiled for an Edge TPU cannot run on the CPU: of it the child can only try whether the
    runtime survives loading it, and the ops that its delegate leaves to the CPU are never tried.

    Args:
        file: Verified; the very bytes that will be loaded.
        state_folder: Where models that passed are remembered, by digest, version of the runtime and
            version of this program; with `None`, or where it cannot be used, each call is a trial.

    Raises:
        ModelError: The child crashed, failed, or went beyond a limit.
    """
    if not backend_module(file).trial_facts()[0]:  # a network of a sensor: its camera tries it
        return
    key = _key(file)
    known = _recall(state_folder) if key else []
    if key in known:
        return
    try_once(file, limits=default_limits(file.flatbuffer))
    if key and state_folder:
        _remember(state_folder, [key, *known])


def default_limits(flatbuffer: bytes) -> Limits:
    """Return the limits of a model's trial; its memory is at most what the machine has."""
    machine_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    wanted_bytes = MEMORY_BYTES + MEMORY_PER_MODEL * len(flatbuffer)
    return Limits(min(wanted_bytes, machine_bytes))


def try_once(file: ModelFile, *, limits: Limits) -> None:
    """Load and invoke a model once, on a zero input, in a child.

    Raises:
        ModelError: The child crashed, failed, or went beyond a limit.
    """
    import subprocess  # noqa: PLC0415 - of a model that is new only

    path = file.path
    runtime, _ = backend_module(file).trial_facts()
    job = {
        "path": [folder for folder in sys.path if Path(folder).is_absolute()],
        "format": file.format,
        "runtime": runtime,
        "shapes": file.description.input.shapes,
        "memory_bytes": limits.memory_bytes,
        "cpu_s": limits.time_s,
        "log_bytes": LOG_BYTES,
    }
    # In memory, as a board's disk may be read-only; no file is a child's to write.
    with os.fdopen(os.memfd_create("edge-trial"), "w+b") as said:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-B", first_run.__file__, json.dumps(job)],
                input=file.flatbuffer, stdout=subprocess.DEVNULL, stderr=said, cwd="/",
                timeout=limits.time_s, start_new_session=True, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise ModelError(
                f"{path}: did not end within {limits.time_s} s when it was first run; {DAMAGED}"
            ) from error
        except OSError as error:
            raise ModelError(
                f"{path}: cannot be tried in a process of its own: {error}; free memory and start "
                "again"
            ) from error
        fault = _fault(done.returncode, _last_line(said), limits=limits, runtime=runtime)
    if fault:
        raise ModelError(f"{path}: {fault}")


def _fault(status: int, line: str, *, limits: Limits, runtime: str) -> str:
    """Return what went wrong in a child, as the rest of a sentence; empty if nothing did."""
    refused = {first_run.LOAD_REFUSED: "load", first_run.INVOKE_REFUSED: "run"}.get(status)
    if status == 0 or (refused and EDGE_TPU_OP in line):
        return ""
    if refused:
        package = runtime.partition(".")[0]
        return f"{package} cannot {refused} this model: {line}; convert it again"
    # C++ aborts for want of memory in these words.
    if status == first_run.OUT_OF_MEMORY or (status == -signal.SIGABRT and "bad_alloc" in line):
        return (
            f"needed more than {limits.memory_bytes // MIB} MiB when it was first run; take a "
            "smaller model, or convert it again"
        )
    if status == -signal.SIGXCPU:
        return f"took more than {limits.time_s} s of CPU when it was first run; {DAMAGED}"
    if status < 0:
        return f"ended by {signal.Signals(-status).name} when it was first run; {DAMAGED}"
    return f"failed when it was first run ({line or f'exit status {status}'}); {DAMAGED}"


def _last_line(said: BinaryIO) -> str:
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines()
    return lines[-1][:SHOWN_CHARACTERS] if lines else ""


def _key(file: ModelFile) -> str:
    """Return what a passed trial holds for: the bytes of this digest, this runtime, this program.

    It is empty where the versions are unknown, as in a tree that was not installed.
    """
    _, package = backend_module(file).trial_facts()
    program, runtime = installed("edge_vision"), installed(package)
    return f"{file.description.digest} {runtime} {program}" if program and runtime else ""


def installed(package: str) -> str:
    """Return name and version of an installed package, as its metadata's folder is named; or "".

    A `*` behind the name stands for what else may belong to it.

    `importlib.metadata` would read the same from the same name, and takes 10 ms to import.
    """
    found = (next(Path(folder).glob(f"{package}-*.*-info"), None) for folder in sys.path)
    return next((path.stem for path in found if path), "")


def _recall(folder: Path | None) -> list[str]:
    """Return the models that passed, newest first; none where that cannot be read."""
    if folder is None:
        return []
    try:
        return (folder / REMEMBERED).read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        log.debug("%s: the models that passed their trial cannot be read: %s", folder, error)
        return []


def _remember(folder: Path, keys: Sequence[str]) -> None:
    """Write the models that passed, atomically; say so where that is not possible."""
    own = folder / f"{REMEMBERED}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        own.write_text("".join(f"{key}\n" for key in keys[:MAX_REMEMBERED]), encoding="ascii")
        own.replace(folder / REMEMBERED)
    except OSError as error:
        log.debug("%s: a model that passed its trial cannot be remembered: %s", folder, error)
