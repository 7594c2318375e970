"""This end of the line to a peer: its environment, its process, one question at a time."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

ROOT = Path(__file__).resolve().parents[2]
PEERS = Path(__file__).with_name("peers")
START_TIMEOUT_S = 120.0
ANSWER_TIMEOUT_S = 300.0
STAMP = "requirements.txt"


class PeerError(RuntimeError):
    """A peer cannot be installed, cannot run this network, or died; its row says so."""


@dataclass(frozen=True, slots=True)
class Row:
    """One peer.

    Attributes:
        name: As the table shows it.
        script: In `peers/`.
        variant: Its argument.
        environment: Name of its environment; empty for this one.
        requirements: What pip installs there.
    """

    name: str
    script: str
    variant: str
    environment: str = ""
    requirements: tuple[str, ...] = ()

    def python(self) -> Path:
        """Return the interpreter of the row's environment, made on demand.

        Raises:
            PeerError: pip fails.
        """
        if not self.environment:
            return Path(sys.executable)
        return ensure_environment(ROOT / ".envs" / self.environment, self.requirements)


def ensure_environment(folder: Path, requirements: tuple[str, ...]) -> Path:
    """Install requirements into an environment, unless that is done; return its interpreter.

    Raises:
        PeerError: pip fails; its last line is the reason.
    """
    python, stamp = folder / "bin" / "python", folder / STAMP
    wanted = "\n".join(requirements)
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    print(f"Installing {', '.join(requirements)} into {folder}", file=sys.stderr)
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", "-qq", *requirements],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no reason given"]
            reason = next((line for line in lines if line.startswith("ERROR")), lines[-1])
            raise PeerError(f"cannot be installed: {reason}")
    stamp.write_text(wanted, encoding="utf-8")
    return python


class Worker:
    """A peer's process, started and with its first result.

    Args:
        row: Which.
        folder: What `bench_peers_files.prepare` wrote.

    Attributes:
        start_s: From starting the process to its first result, seconds.
        versions: What the peer says it is made of.
        pid: Of the process.

    Raises:
        PeerError: It does not get that far.
    """

    def __init__(self, row: Row, folder: Path) -> None:
        command = [str(row.python()), str(PEERS / row.script), str(folder), row.variant]
        log = folder / f"{row.environment or 'ours'}-{row.variant}.log".replace(":", "-")
        reading, writing = os.pipe()
        self._answers = os.fdopen(reading, encoding="utf-8")
        started_s = time.perf_counter()
        with log.open("wb") as printed:
            self._process = subprocess.Popen(
                [*command, str(writing)],
                stdin=subprocess.PIPE,
                stdout=printed,
                stderr=printed,
                pass_fds=(writing,),
                cwd=ROOT,
                text=True,
            )
        os.close(writing)
        try:
            self.versions: str = self._answer(START_TIMEOUT_S)["ready"]
        except PeerError:
            self.close()
            raise
        self.start_s = time.perf_counter() - started_s
        self.pid = self._process.pid

    def run(self, source: str, *, lead: int, frames: int) -> dict[str, Any]:
        """Have so many frames processed; return the answer."""
        return self._ask({"run": frames, "lead": lead, "source": source})

    def labels(self, image: Path) -> list[str]:
        """Return what the peer finds in an image."""
        labels: list[str] = self._ask({"image": str(image)})["labels"]
        return labels

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None  # noqa: S101 - a pipe was asked for
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise PeerError(f"died with exit code {self._process.wait()}") from error
        return self._answer(ANSWER_TIMEOUT_S)

    def _answer(self, timeout_s: float) -> dict[str, Any]:
        # One line answers one request, so none waits in the buffer that `select` cannot see.
        if not select.select([self._answers], [], [], timeout_s)[0]:
            raise PeerError(f"gave no answer within {timeout_s:g} s")
        line = self._answers.readline()
        if not line:
            raise PeerError(f"died with exit code {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise PeerError(answer["failed"])
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._answers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
