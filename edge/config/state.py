"""Where the program keeps what it has found out between one start and the next."""

from __future__ import annotations

import os
from pathlib import Path


def state_folder() -> Path | None:
    """Return the folder, which need not exist; `None` where the environment names none.

    systemd's ``StateDirectory=`` comes first; else it is `edge-vision` in the user's own.
    Source: systemd.exec(5); XDG Base Directory Specification 0.8, which has relative paths ignored.
    """
    # Several folders of a unit are separated by colons.
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    named = Path(os.environ.get("XDG_STATE_HOME", ""))
    if named.is_absolute():
        return named / "edge-vision"
    try:
        return Path.home() / ".local" / "state" / "edge-vision"
    except RuntimeError:
        return None
