"""The one error tree: every failure a user can meet is an `EdgeError` with one clear sentence.

Each class is rooted twice, in the tree and in the built-in that describes its kind, so that a
caller may catch whichever it knows. The sentence says what was expected, what was found and what to
type. What it quotes may hold a secret: `shown` cuts that off.
"""

from __future__ import annotations

import re

# Of a URL what names values: its query, or a path as XiongMai's cameras have it, with
# /user=NAME_password=SECRET_channel=1.
VALUES = re.compile(r"""([?/])[^\s?/=]*=[^\s'"]*""")


def shown(url: str) -> str:
    """Return what may be printed of a URL, or of a text that holds one: what follows the last `@`.

    A password may hold any character, so that nothing before that sign is known to be harmless;
    and nothing behind it where it may stand among `VALUES`, which are not shown either.
    """
    login, at, place = url.rpartition("@")
    if VALUES.search(login):
        return "…"
    place = VALUES.sub(r"\1…", place)
    return f"…@{place}" if at else place


class EdgeError(Exception):
    """Something failed that the user can act on; `str(error)` is the sentence to show them."""


class ConfigError(EdgeError, ValueError):
    """A configuration has faults; the message lists them all, one a line, each with its path."""


class ModelError(EdgeError, ValueError):
    """A model file is missing, damaged, foreign, or does not fit its manifest."""


class SourceError(EdgeError, OSError):
    """A frame source cannot be opened, or broke while it was read."""


class LoginError(SourceError):
    """A camera refuses a login; it locks out who goes on trying."""


class SinkError(EdgeError, OSError):
    """Results could not be delivered or written."""


class SinkClosed(SinkError):  # noqa: N818 - no error of the user's: whoever read has left
    """The reader of the results has gone, as `head` does: a clean end."""


class DelegateError(EdgeError, RuntimeError):
    """A delegate's library or device is missing or failed, or the model is not made for it."""


class DependencyError(EdgeError, ImportError):
    """An optional package or program is needed and missing; the message says what to install."""


class BoardError(EdgeError, RuntimeError):
    """A board cannot be installed, updated or flashed as it was asked."""
