"""A `.hef`, what Hailo's compiler makes for its chips: told apart and measured, not understood.

Its outer header is three big-endian numbers: magic, version, and the length of what describes the
graphs. Source: HailoRT 4.23, hef_internal.hpp.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from edge.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

MAGIC = b"\x01HEF"
HEADER = struct.Struct(">4sII")
LAST_VERSION = 3


def is_hef(data: bytes) -> bool:
    """Return whether a file is a `.hef`: `check` says whether it is whole."""
    return data.startswith(MAGIC)


def check(data: bytes, path: Path) -> None:
    """Refuse a file that is cut off, or of a version that did not exist.

    Raises:
        ModelError: It is.
    """
    if len(data) >= HEADER.size:
        _, version, graph_bytes = HEADER.unpack_from(data)
        if version <= LAST_VERSION and graph_bytes <= len(data) - HEADER.size:
            return
    raise ModelError(f"{path}: this .hef is damaged or cut off; copy it or compile it again")
