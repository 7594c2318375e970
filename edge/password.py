"""A password in a file of its own."""

from __future__ import annotations

import logging
import os
import stat
import unicodedata
from functools import lru_cache
from pathlib import Path

from edge.errors import ConfigError

# A camera's is read for each of many tries.
warn_once = lru_cache(maxsize=100)(logging.getLogger(__name__).warning)

# MQTT 3.1.1, section 3.1.3.5: a password is at most this long.
MAX_PASSWORD_BYTES = 65535
ROOT = 0
READABLE_BY_OTHERS = stat.S_IRWXG | stat.S_IRWXO
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
# Where Docker, Kubernetes and systemd lay secrets for one container or service alone. The modes
# there are theirs: 0444, or 0440 for an access list.
CREDENTIALS = Path("/run/credentials/edge.service")
SECRET_FOLDERS = (Path("/run/secrets"), Path("/run/credentials"))


def read_password(path: Path, *, what: str = "password", key: str = "password_file") -> str:
    """Return the first line of a password file; blanks count, a byte order mark does not.

    A blank at the end counts too, as it may be meant; the log names it, as it is rarely so.

    Args:
        path: Of the file.
        what: The secret is, for messages.
        key: Names the file in the configuration.

    Raises:
        ConfigError: It can't be read, others can read it, or its first line is no password.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            mode = stat.S_IMODE(status.st_mode)
            if mode & READABLE_BY_OTHERS and not _is_laid_by_the_system(path, status):
                raise ConfigError(
                    f"{path}: a {what} file must be readable by its owner only (0600), "
                    f"found {mode:04o}; type: chmod 600 {path}"
                )
            line = file.readline(MAX_PASSWORD_BYTES + 5).rstrip(b"\r\n")
        password = line.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"{path}: expected a {what} file, cannot read it: {error.strerror}; "
            f"{_remedy(path, f'give its path in {key}')}"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: expected UTF-8 text on the first line; write it anew"
        ) from error
    if not 1 <= len(password.encode()) <= MAX_PASSWORD_BYTES:
        raise ConfigError(
            f"{path}: expected a {what} of 1 to {MAX_PASSWORD_BYTES} bytes on the first line, "
            f"found {'a longer one' if password else 'none'}; {_remedy(path, 'write it anew')}"
        )
    if (last := password[-1]).isspace():
        warn_once(
            "%s: the first line ends with a %s, which counts as part of the %s; if it is "
            "refused, write the file anew without it",
            *(path, unicodedata.name(last, "tab").lower(), what),
        )
    return password


def _remedy(path: Path, otherwise: str) -> str:
    """Return what mends a secret that systemd hands over: its file is another one."""
    if path.parent != CREDENTIALS:
        return otherwise
    return (
        f"its own file is /etc/edge/secrets/{path.name}; type: sudo install -m 600 FILE "
        f"/etc/edge/secrets/{path.name} && sudo systemctl restart edge"
    )


def _is_laid_by_the_system(path: Path, status: os.stat_result) -> bool:
    """Whether a file stands where a container or service finds its secrets, and root alone put it.

    A file that somebody wrote at home and left readable (0644) is none of those.
    """
    is_secret = any(path.resolve().is_relative_to(folder) for folder in SECRET_FOLDERS)
    return is_secret and status.st_uid == ROOT and not status.st_mode & WRITABLE_BY_OTHERS
