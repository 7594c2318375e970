"""How many starts in a row have failed, and why; in a small file that survives a power cut."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from edge.config.mqtt import Mqtt
from edge.config.reading import load
from edge.errors import EdgeError
from edge.record import Record, Unsound, read_json, storable, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from edge.config.sections import Config

log = logging.getLogger("edge.service")

LONGEST_REASON = 2000
# That many in a row, and no further one is made without a pause.
MOST_FAILED = 5
FIRST_PAUSE_S, LONGEST_PAUSE_S = 300.0, 3600.0
UNTOLD = "it was killed or crashed before it could say why; the journal may tell"


class Voice(Record, frozen=True):
    """What a device needs to speak, kept for when its configuration cannot be read.

    Attributes:
        device: Its name.
        cameras: Their names.
        mqtt: Its broker.
    """

    device: str = ""
    cameras: tuple[str, ...] = ()
    mqtt: Mqtt | None = None

    @classmethod
    def of(cls, config: Config) -> Voice:
        """Return that of a configuration."""
        names = tuple(camera.name for camera in config.cameras)
        return cls(config.device.name, names, config.mqtt)

    def unless_sound(self, config: Path, own: Voice) -> Voice:
        """Return this one, of the last good start, or `own` of a configuration without a fault."""
        try:
            load(config, {})
        except EdgeError:
            return self.replace(mqtt=own.mqtt or self.mqtt) if self.device else own
        return own


class Kept(Record, frozen=True):
    """What the file holds.

    Attributes:
        failed: Starts that did not become good, in a row; with the one at hand.
        reason: Of the last one, a sentence.
        files: Path, time of its change in nanoseconds and size in bytes of what was started with.
        speaks: As the last good start did.
    """

    failed: Annotated[int, Meta(ge=0)] = 0
    reason: str = ""
    files: tuple[tuple[str, int, int], ...] = ()
    speaks: Voice = Voice()


class Starts:
    """Counts the starts of a service; a file that cannot be read or written is said, not fatal.

    Args:
        folder: Of the state; `None` where there is none. Other services may share it.
        files: What a start depends on, the configuration first: once one of them has changed,
            nothing has failed yet.
    """

    def __init__(self, folder: Path | None, files: Iterable[Path]) -> None:
        self._files = tuple(files)
        self._path = folder / file_name(self._files[0]) if folder else None
        self.kept = self._read()

    @property
    def are_too_many(self) -> bool:
        """Whether the next start has to wait."""
        return self.kept.failed >= MOST_FAILED and not self.have_changed()

    @property
    def pause_s(self) -> float:
        """How long it waits: twice as long after each further failure."""
        doubled = min(self.kept.failed - MOST_FAILED, 16)  # far over the longest, and a number
        return float(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**doubled))

    def have_changed(self) -> bool:
        """Whether a file that the starts depend on is another than at the last one."""
        return self._seen() != self.kept.files

    def begin(self) -> None:
        """Note that a start is made; until more is known it counts as failed."""
        failed = 0 if self.have_changed() else self.kept.failed
        self._write(failed=failed + 1, reason=UNTOLD, files=self._seen())

    def fail(self, reason: str) -> None:
        """Note why the start at hand failed."""
        self._write(reason=storable(reason[:LONGEST_REASON]))

    def forget(self, speaks: Voice | None = None) -> None:
        """Note that it was good, or ended as it was told to, and as whom it spoke."""
        speaks = speaks or self.kept.speaks
        if self.kept.failed or speaks != self.kept.speaks:
            self._write(failed=0, reason="", speaks=speaks)

    def _seen(self) -> tuple[tuple[str, int, int], ...]:
        seen = []
        for path in self._files:
            changed_ns = size = 0
            with suppress(OSError):  # one may be missing
                status = path.stat()
                changed_ns, size = status.st_mtime_ns, status.st_size
            seen.append((storable(str(path)), changed_ns, size))
        return tuple(seen)

    def _read(self) -> Kept:
        try:
            return read_json(Kept, self._path.read_bytes()) if self._path else Kept()
        except FileNotFoundError:
            return Kept()
        except (OSError, Unsound) as error:
            log.warning("%s: not read, failed starts are counted anew: %s", self._path, error)
            return Kept()

    def _write(self, **changes: Any) -> None:  # noqa: ANN401 - of any field
        self.kept = self.kept.replace(**changes)
        if self._path is None:
            return
        try:
            # For this user alone: where the broker is and as whom is nobody else's business.
            write_json(self._path, self.kept)
        except OSError as error:
            log.warning("%s: failed starts cannot be counted: %s", self._path, error.strerror)


def file_name(config: Path) -> str:
    """Return the name of the file that counts the starts with a configuration."""
    digest = sha256(os.fsencode(config.absolute())).hexdigest()[:12]
    return f"starts-{digest}.json"
