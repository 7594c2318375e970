"""A start under a service manager: counted, told of, and put off where too many failed."""

from __future__ import annotations

import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from edge.config.paths import state_folder
from edge.config.reading import load_sound_part
from edge.errors import EdgeError
from edge.service.life import Life
from edge.service.notify import from_environment
from edge.service.safe import Voice, wait
from edge.service.starts import Starts
from edge.terminal.signals import handling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from edge.service.notify import Notifier


def guarded(
    start: Callable[[Life], None], config: Path, *, files: Iterable[Path] = (), waits: bool = True
) -> None:
    """Make a start, after a pause in safe mode where the last ones failed.

    Args:
        start: Runs until the end.
        config: The configuration's file; what is right of it says which broker is told.
        files: Others that the start depends on.
        waits: Whether there is a pause.

    Raises:
        EdgeError: As the start.
    """
    settings = load_sound_part(config)
    own = filter(None, (settings.model.file, settings.model.description))
    starts = Starts(state_folder(), [config, *files, *own])
    notifier = from_environment()
    voice = Voice.of(settings)
    with handling({signal.SIGTERM: partial(_leave, starts, notifier)}):
        if waits and starts.are_too_many and not wait(starts, voice, notifier):
            starts.forget()
            return
        starts.begin()
        life = Life(notifier, on_sound=lambda: starts.forget(voice.plain()))
        try:
            start(life)
        except Exception as error:
            told = f"{type(error).__name__}; the journal has its traceback"
            if not life.is_sound:
                starts.fail(str(error) if isinstance(error, EdgeError) else told)
            raise
        starts.forget()


def _leave(starts: Starts, notifier: Notifier) -> NoReturn:
    """End a start that is still at work: nothing has failed."""
    notifier.stopping()
    starts.forget()
    sys.exit(0)
