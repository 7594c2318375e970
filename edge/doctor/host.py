"""What a check finds, and the system that it looks at.

Only the standard library is imported here: a system whose packages are broken is looked at as well.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.config.sections import Config

State = Literal["ok", "warning", "wrong", "not applicable"]
COMMAND_TIMEOUT_S = 4.0
# Of a file of Linux or of ours; no such file is longer.
MOST_BYTES = 65536
UNIT = "edge.service"
UNIT_FILE = f"etc/systemd/system/{UNIT}"
AS_ROOT = "sudo edge doctor sees it"
INSTALL = "sudo edge install --from BUNDLE"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        state: Whether it is as it should be.
        found: What there is.
        mend: What to type or do; empty where nothing is wrong.
    """

    state: State
    found: str
    mend: str = ""


# As it should be; nothing to look at, and why; it may go wrong; it keeps the board from its work.
ok, absent = partial(Finding, "ok"), partial(Finding, "not applicable")
warning, wrong = partial(Finding, "warning"), partial(Finding, "wrong")


@dataclass(frozen=True, slots=True)
class Host:
    """A system, the one that runs this program or one in a folder, which is asked no commands.

    Attributes:
        root: Where its files lie.
        config: The configuration, as far as it is right; `None` without one.
        faults: Returns sentences on what is wrong with that.
        path: Folders to look for programs in, as PATH has them; `None` takes the environment's.
    """

    root: Path = Path("/")
    config: Config | None = None
    faults: Callable[[], list[str]] = list
    path: str | None = None

    @property
    def is_live(self) -> bool:
        """Whether it is the system that runs this program."""
        return self.root == Path("/")

    def glob(self, pattern: str) -> list[Path]:
        """Return what matches, sorted by name."""
        return sorted(self.root.glob(pattern))

    def text(self, place: str | Path) -> str:
        """Return what a file holds, without the blanks around it; empty where it is not there.

        Raises:
            PermissionError: This user may not read it.
        """
        try:
            with (self.root / place).open("rb") as file:
                return file.read(MOST_BYTES).decode("utf-8", "replace").strip("\0 \n")
        except PermissionError:
            raise
        except OSError:
            return ""

    def program(self, name: str) -> str | None:
        """Return where a program is."""
        return shutil.which(name, path=self.path)

    def ask(self, name: str, *words: str) -> str:
        """Return what a program says; empty where there is none, it fails, or takes too long."""
        if not (program := self.program(name)):
            return ""
        try:
            done = subprocess.run(
                [program, *words],
                capture_output=True, text=True, errors="replace", timeout=COMMAND_TIMEOUT_S,
                check=False, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return "" if done.returncode else done.stdout.strip()

    def schemes(self) -> set[str]:
        """Return the kinds of the sources that are configured."""
        cameras = self.config.cameras if self.config else ()
        return {camera.source.partition(":")[0] for camera in cameras}
