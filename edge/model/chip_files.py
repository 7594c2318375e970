"""Files that makers' compilers make for their chips: measured, not understood.

A Hailo `.hef` begins with big-endian numbers: magic, version, and the length of what describes the
graphs. A `.rpk`, for the sensor of Raspberry Pi's AI Camera, is a row of blocks, each with its
length behind four characters. Sources: HailoRT 4.23, hef_internal.hpp; picamera2 0.3.38,
devices/imx500/imx500.py.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from edge.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

HEF_MAGIC = b"\x01HEF"
HEF_HEADER, RPK_HEADER = struct.Struct(">4sII"), struct.Struct(">4sI")
LAST_HEF_VERSION = 3


def check(data: bytes, path: Path) -> None:
    """Refuse a file that is cut off in its first block, or of a version that did not exist.

    Raises:
        ModelError: It is.
    """
    is_hef = data.startswith(HEF_MAGIC)
    header = HEF_HEADER if is_hef else RPK_HEADER
    if len(data) >= header.size:
        _, *versions, length = header.unpack_from(data)
        if max(versions, default=0) <= LAST_HEF_VERSION and length <= len(data) - header.size:
            return
    what, again = (".hef", "compile") if is_hef else (".rpk", "package")
    raise ModelError(f"{path}: this {what} is damaged or cut off; copy it or {again} it again")
