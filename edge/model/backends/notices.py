"""What a runtime writes to stderr besides its errors."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

STDERR = 2
# Of "Created TensorFlow Lite XNNPACK delegate for CPU.", which would stand before every result.
NOTICE = b"INFO: "
_stderr_lock = threading.Lock()


@contextlib.contextmanager
def without_notices() -> Iterator[None]:
    """Keep a runtime's lines of level INFO from stderr; all others follow when the block ends.

    Python has no switch for them. What other threads write meanwhile is passed on as well.
    """
    with _stderr_lock:
        try:
            stderr, caught = os.dup(STDERR), os.memfd_create("notices")
        except (OSError, AttributeError):  # a closed stderr, or a system without such files
            yield
            return
        os.dup2(caught, STDERR)
        try:
            yield
        finally:
            os.dup2(stderr, STDERR)
            os.close(stderr)
            with os.fdopen(caught, "rb") as lines:
                lines.seek(0)
                kept = b"".join(line for line in lines if not line.startswith(NOTICE))
            with contextlib.suppress(OSError):  # a full disk behind stderr
                os.write(STDERR, kept)
