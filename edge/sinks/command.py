"""A program that is run for each message: one at a time, and not for ever."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import ConfigError
from edge.repeats import Repeats
from edge.sinks.queued import Queued, Unfinished, as_json

if TYPE_CHECKING:
    from edge.config.sink import Command
    from edge.messages.envelope import Message

log = logging.getLogger("edge.sinks")

STDERR = 2
KILLED_WAIT_S = 1.0
# By these a child could speak to systemd in the service's place: sd_notify(3), sd_watchdog_enabled.
NOT_THEIRS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class CommandSink(Queued):
    """Runs a program with each message as a line of JSON on its stdin: topic, policy and payload.

    No shell sees the arguments, and nothing of a message is among them. The program has a session
    of its own, so that what it started ends with it where it takes too long. What it prints goes
    to stderr. A message whose program failed is not tried again; it is counted.
    """

    def __init__(self, settings: Command, *, name: str = "command") -> None:
        self._settings = settings
        self._environment = {
            key: value for key, value in os.environ.items() if key not in NOT_THEIRS
        }
        self._program = Path(settings.command[0]).name
        self._repeats = Repeats()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_over = False
        super().__init__(name, messages=settings.queue_messages, wants=settings.wants)

    def deliver(self, message: Message) -> bool:
        """Run the program, and wait for it."""
        fault = "" if self._is_over else self._run_program(message)
        if self._is_over:
            raise Unfinished
        if fault:
            text = f"{self.name}: {self._program} {fault}; its message is dropped"
            self._repeats.warn(log, fault, f"{text}; check [[sink]] command")
        return not fault

    def _run_program(self, message: Message) -> str:
        """Return what was wrong with it; empty where all is well."""
        body = as_json(message.topic, message.payload, policy=message.policy) + b"\n"
        try:
            with subprocess.Popen(
                self._settings.command,
                stdin=subprocess.PIPE,
                stdout=STDERR,
                env=self._environment,
                start_new_session=True,
            ) as self._process:
                try:
                    self._process.communicate(body, timeout=self._settings.timeout_s)
                except subprocess.TimeoutExpired:
                    _kill(self._process)
                    return f"took over {self._settings.timeout_s:g} s and was ended"
        except OSError as error:
            return f"cannot be run: {error.strerror}"
        status = self._process.returncode
        how = f"signal {-status}" if status < 0 else f"status {status}"
        return f"ended with {how}" if status else ""

    def close(self, timeout_s: float) -> int:
        """Run what waits, for so long at most, and end what still runs then."""
        left = super().close(timeout_s)
        self._is_over = True
        if self._process and self._thread.is_alive():
            _kill(self._process)
            self._thread.join(KILLED_WAIT_S)
        return left


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a program that was not waited for yet, and all of its session's group."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def check_command(settings: Command) -> None:
    """Refuse a program that is not there; it is not run.

    Raises:
        ConfigError: It is neither on the PATH nor a file that may be run.
    """
    program = settings.command[0]
    if shutil.which(program) is None:
        raise ConfigError(
            f"command: expected a program on the PATH, or the whole path of a file that may be run "
            f"(chmod +x), found {program!r}"
        )
