"""What an interrupted run did already, so that `--resume` goes on and comes to the same result."""

from __future__ import annotations

import io
import shutil
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from converter import export
from edge.errors import ConfigError, SinkError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]

KEY = "key.txt"
SUFFIX = ".partial"


def partial_folder(output: Path) -> Path:
    """Return where an interrupted run leaves what it did, beside what it makes."""
    return output.with_name(f"{output.name}{SUFFIX}")


class Stages:
    """Arrays by the name of the step that made them, in a folder that goes once all is done.

    Args:
        output: What is being made; the folder lies beside it. `None` keeps nothing.
        key: Of all that the result hangs on.
        resume: Go on with what lies there; else it is thrown away.

    Raises:
        ConfigError: Nothing lies there, or what another command left.
        SinkError: The folder cannot be made.
    """

    def __init__(self, output: Path | None, key: str = "", *, resume: bool = False) -> None:
        self._folder: Path | None = None
        if output is None:
            return
        self._folder = partial_folder(output)
        written = self._folder / KEY
        if resume and (not written.is_file() or written.read_text("utf-8") != key):
            found = "what another command left" if written.is_file() else "nothing"
            raise ConfigError(
                f"{self._folder}: --resume expected what the same command left there with the same "
                f"model, images and options, found {found}; leave --resume out to begin anew"
            )
        if not resume:
            self.clear()
            try:
                self._folder.mkdir()
            except OSError as error:
                raise SinkError(
                    f"{self._folder}: cannot be made: {error.strerror}; choose another place with "
                    "-o"
                ) from error
            export.write_bytes(key.encode(), written)

    def arrays(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """Return what a step made before, or make it now and keep it."""
        if self._folder is None:
            return make()
        path = self._folder / f"{name}.npz"
        try:
            with np.load(path, allow_pickle=False) as kept:
                return dict(kept)
        except FileNotFoundError:
            made = make()
        except (OSError, ValueError, BadZipFile) as error:
            raise ConfigError(
                f"{path}: expected what a step left, found a damaged file ({error}); leave "
                "--resume out to begin anew"
            ) from error
        data, named = io.BytesIO(), dict[str, Any](made)
        np.savez(data, **named)
        export.write_bytes(data.getvalue(), path)
        return made

    def clear(self) -> None:
        """Throw all away: nothing is left to go on with."""
        if self._folder is not None and (self._folder / KEY).is_file():
            shutil.rmtree(self._folder, ignore_errors=True)


NOT_KEPT = Stages(None)
