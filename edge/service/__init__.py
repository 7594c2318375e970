"""What a service manager is told, and what happens when starts fail; loaded only under one."""

from __future__ import annotations

import os


def is_managed() -> bool:
    """Whether a service manager waits to be told how it goes: sd_notify(3)."""
    return bool(os.environ.get("NOTIFY_SOCKET"))
