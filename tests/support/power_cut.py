"""A disk that loses its power before any chosen step, and with it all that was not forced to it.

It stands in for the module `os` where a program changes files. Two kinds of disk: one that loses
every change whose file or folder was not forced, and one that keeps all names and loses the
content (ext4 leaves files of size 0: seen with a real kernel whose power was cut).
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class PowerCutError(BaseException):
    """The power is gone; nothing that catches errors gets to see it."""


class Disk:
    """Counts the steps that change something, and ends before one of them.

    Args:
        spare: A folder on the same file system, for what may come back.
        cut_at: Number of the step before which the power is cut; `None` for never.
        loses_names: The first kind of disk; else the second.
    """

    def __init__(self, spare: Path, cut_at: int | None = None, *, loses_names: bool = True) -> None:
        self.steps = 0
        self._spare, self._cut_at, self._loses_names = spare, cut_at, loses_names
        # Folder that must be forced, and what undoes the change.
        self._names: list[tuple[str, Callable[[], object]]] = []
        self._contents: set[tuple[int, int]] = set()
        self._paths: dict[int, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def cut(self) -> None:
        """Lose what was not forced to the disk."""
        for path in self._written():
            os.truncate(path, 0)
        if self._loses_names:
            for _, undo in reversed(self._names):
                with suppress(FileNotFoundError):
                    undo()

    def wrote(self, path: Path) -> None:
        """Take note of a file that a program wrote."""
        self._contents.add(_identity(os.stat(path)))
        self._names.append((str(path.parent), path.unlink))

    def open(self, path: Any, flags: int, *mode: int) -> int:
        makes = bool(flags & os.O_CREAT) and not os.path.lexists(path)
        if makes or flags & os.O_WRONLY:
            self._step()
        descriptor = os.open(path, flags, *mode)
        self._paths[descriptor] = os.fspath(path)
        if makes:
            self._names.append((str(Path(path).parent), lambda: os.unlink(path)))
        return descriptor

    def write(self, descriptor: int, data: Any) -> int:
        self._step()
        self._contents.add(_identity(os.fstat(descriptor)))
        return os.write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        self._step()
        self._contents.discard(_identity(os.fstat(descriptor)))
        path = self._paths[descriptor]
        self._names = [each for each in self._names if each[0] != path]

    def sync(self) -> None:
        self._step()
        self._names.clear()
        self._contents.clear()

    def rename(self, old: Any, new: Any) -> None:
        self._step()
        kept = self._keep(new)

        def undo() -> None:
            os.rename(new, old)
            if kept:
                os.rename(kept, new)

        os.rename(old, new)
        self._names.append((str(Path(new).parent), undo))

    def symlink(self, target: Any, link: Any) -> None:
        self._step()
        os.symlink(target, link)
        self._names.append((str(Path(link).parent), lambda: os.unlink(link)))

    def unlink(self, path: Any) -> None:
        self._step()
        kept = self._keep(path)
        os.unlink(path)
        if kept:
            self._names.append((str(Path(path).parent), lambda: os.rename(kept, path)))

    def mkdir(self, path: Any, mode: int = 0o777) -> None:
        self._step()
        os.mkdir(path, mode)
        self._names.append((str(Path(path).parent), lambda: shutil.rmtree(path)))

    def makedirs(self, path: Any, *, exist_ok: bool) -> None:
        for each in (*reversed(Path(path).parents), Path(path)):
            if not each.is_dir():
                self.mkdir(each)

    def rmdir(self, path: Any) -> None:
        self._step()
        os.rmdir(path)
        self._names.append((str(Path(path).parent), lambda: os.mkdir(path)))

    def _step(self) -> None:
        if self.steps == self._cut_at:
            raise PowerCutError
        self.steps += 1

    def _keep(self, path: Any) -> str:
        """Keep what is about to lose its name."""
        if not os.path.lexists(path):
            return ""
        kept = str(self._spare / str(len(self._names)))
        with suppress(FileNotFoundError):
            os.unlink(kept)
        os.link(path, kept, follow_symlinks=False)
        return kept

    def _written(self) -> list[Path]:
        root = self._spare.parent
        found = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
        return [path for path in found if _identity(path.stat()) in self._contents]


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
