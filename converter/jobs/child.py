"""Run a job in a child process, as TensorFlow leaks, prints and can abort, and so can any reader.

The child works in a fresh folder of its own, which nobody else may enter, never sees the user's
working directory on its path, and has limits. What it prints goes to a log in that folder, which
stays if it fails; lines of `step` are progress.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from converter.jobs.boot import CALL, REFUSED
from edge import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

LOG = "child.log"
STEP = b"step: "
MAX_WORDS = 300  # characters of a message: Keras prints whole configurations
# Errors only, and for the CPU no search for a GPU: what is left goes to the log.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": "tensorflow"}
# Freed arrays go back to the machine at once: glibc would keep them, 50 MiB at SSDLite's peak.
FRUGAL = {"MALLOC_MMAP_THRESHOLD_": str(128 * 1024), "MALLOC_ARENA_MAX": "2"}
NO_GPU = {"CUDA_VISIBLE_DEVICES": "-1"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Child:
    """How a child process runs.

    Attributes:
        program: What runs in it, for messages.
        time_s: After which it is ended.
        memory_bytes: Of its heap; `None` for all that the machine has, so that a job that wants
            more fails itself and takes nobody along.
        device: Whether it may use a GPU.
    """

    program: str = "TensorFlow"
    time_s: int = 900
    memory_bytes: int | None = None
    device: Literal["cpu", "gpu"] = "cpu"


TENSORFLOW = Child()


@contextmanager
def job_folder() -> Iterator[Path]:
    """Give a fresh folder that only this user may enter; afterwards only a failed job's log stays.

    Raises:
        ModelError: There is no place for one.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="edge-convert-")).resolve()
    except OSError as error:
        raise errors.ModelError(
            f"{tempfile.gettempdir()}: expected a folder for temporary files, which cannot be "
            f"written: {error.strerror}; set TMPDIR to another"
        ) from error
    try:
        yield folder
    finally:
        if not (folder / LOG).exists():
            shutil.rmtree(folder, ignore_errors=True)
        for item in [path for path in folder.glob("*") if path.name != LOG]:
            # Folders of a job may hold links to the user's files: they go, what they name stays.
            if item.is_dir() and not item.is_symlink():
                shutil.rmtree(item, ignore_errors=True)
            else:
                item.unlink()


def run_child(
    module: str, folder: Path, *, job: dict[str, Any], purpose: str, child: Child = TENSORFLOW
) -> None:
    """Call ``main(folder, job)`` of a module in a child process.

    Args:
        module: Reads what it needs from the folder and writes its result there.
        folder: From `job_folder`.
        job: Plain values, for JSON.
        purpose: What cannot be done if it fails, such as `convert this graph`.
        child: How it runs.

    Raises:
        EdgeError: What the module raised.
        ModelError: It failed otherwise; the message holds the last line of the log, and names it.
        DependencyError: TensorFlow is not installed.
    """
    machine_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    call = {
        "module": module,
        "job": job,
        "paths": trusted_paths(),
        "memory_bytes": child.memory_bytes or machine_bytes,
    }
    (folder / CALL).write_text(json.dumps(call), "utf-8")
    status = _run(folder, child)
    log, refused = folder / LOG, folder / REFUSED
    if status == 0:
        log.unlink()
        return
    if refused.exists():
        log.unlink()
        said = json.loads(refused.read_text("utf-8"))
        kind = getattr(errors, str(said["kind"]), errors.ModelError)
        raise kind(said["message"])
    last = _last_words(log, status, child)
    if last.startswith("ModuleNotFoundError: No module named 'tensorflow'"):
        log.unlink()
        raise errors.DependencyError(
            "TensorFlow is needed to convert; type: pip install 'edge-vision[converter]'"
        )
    raise errors.ModelError(f"{child.program} cannot {purpose}: {last}; its log is {log}")


def step(text: str) -> None:
    """Say, in a child, what it does next."""
    sys.stdout.write(f"{STEP.decode()}{text}\n")
    sys.stdout.flush()


def trusted_paths() -> list[str]:
    """Return where a child may import from: the parent's path without the working directory.

    A stray `numpy.py` beside the user's models would be run otherwise.
    """
    here = Path.cwd().resolve()
    paths = [path for path in sys.path if Path(path).is_absolute() and Path(path).resolve() != here]
    return list(dict.fromkeys([str(Path(__file__).resolve().parents[2]), *paths]))


def _run(folder: Path, child: Child) -> int:
    """Return the exit status, once its steps are logged and all else it wrote is in the log."""
    command = [sys.executable, "-I", "-u", str(Path(__file__).with_name("boot.py"))]
    environment = {**os.environ, **QUIET, **FRUGAL, **(NO_GPU if child.device == "cpu" else {})}
    with (folder / LOG).open("ab") as log, subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # in the order in which it was written
    ) as process:  # fmt: skip
        timer = threading.Timer(child.time_s, process.kill)
        timer.daemon = True
        timer.start()
        try:
            for line in process.stdout or ():
                if line.startswith(STEP):
                    _log.info("%s %s", child.program, line[len(STEP) :].decode().strip())
                else:
                    log.write(line)
                    log.flush()
            return process.wait()
        finally:
            timer.cancel()
            process.kill()  # does nothing once it has ended; ends it when this one is interrupted
            timer.join()


def _last_words(log: Path, status: int, child: Child) -> str:
    """Return why a child ended: the signal that killed it, or the last line that it wrote."""
    if status == -signal.SIGKILL:
        return f"it was ended, after {child.time_s} s or for want of memory"
    if status < 0:
        return f"it was ended by {signal.Signals(-status).name}"
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:MAX_WORDS] if lines else f"exit status {status}"
