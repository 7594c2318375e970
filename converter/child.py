"""Run TensorFlow in a child process: it leaks, it prints and it can abort."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from edge.errors import DependencyError, ModelError

TIMEOUT_S = 900
MAX_WORDS = 300  # characters of a message: Keras prints whole configurations
# Errors only, and no search for a GPU: what is left goes to the log.
ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}


def run_child(
    module: str,
    folder: Path,
    *,
    purpose: str,
    program: str = "TensorFlow",
    timeout_s: int = TIMEOUT_S,
) -> None:
    """Run ``python -m MODULE FOLDER``; what it prints goes to a log that is kept if it fails.

    Args:
        module: Reads its job from the folder and writes its result there.
        folder: Of the job.
        purpose: What cannot be done if it fails, such as `convert this graph`.
        program: What runs in the child, for messages.
        timeout_s: After which it is ended.

    Raises:
        ModelError: It failed; the message holds the last line of the log, and names the log.
        DependencyError: TensorFlow is not installed.
    """
    log = Path(tempfile.gettempdir()) / f"edge-convert-{os.getpid()}.log"
    root = Path(__file__).resolve().parents[1]
    environment = {**os.environ, **ENVIRONMENT}
    paths = [str(root), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    with log.open("wb") as sink:
        try:
            done = subprocess.run(
                # Unbuffered: what it printed before its error stands before that in the log.
                [sys.executable, "-u", "-m", module, str(folder)],
                stdout=sink, stderr=sink, env=environment, timeout=timeout_s, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise ModelError(f"{program} took over {timeout_s} s; its log is {log}") from error
    if done.returncode == 0:
        log.unlink()
        return
    last = _last_words(log, done.returncode)
    if last.startswith("ModuleNotFoundError: No module named 'tensorflow'"):
        raise DependencyError(
            "TensorFlow is needed to convert; type: pip install 'edge-vision[converter]'"
        )
    raise ModelError(f"{program} cannot {purpose}: {last}; its log is {log}")


def _last_words(log: Path, status: int) -> str:
    """Return why a child ended: the signal that killed it, or the last line that it wrote."""
    if status < 0:
        return f"it was ended by {signal.Signals(-status).name}"
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:MAX_WORDS] if lines else f"exit status {status}"
