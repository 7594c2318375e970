"""A `.rpk`, a network for the sensor of Raspberry Pi's AI Camera: told apart, not understood.

It is a row of blocks, each with its length behind four characters. Source: picamera2 0.3.38,
devices/imx500/imx500.py.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from edge.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

MAGIC = b"9464"
HEADER = struct.Struct(">4sI")
# The sensor's pixels, of which all boxes of its networks are shares: width and height.
SENSOR_WH = (4056, 3040)


def is_rpk(data: bytes) -> bool:
    """Return whether a file is a `.rpk`: `check` says whether its first block is whole."""
    return data.startswith(MAGIC)


def check(data: bytes, path: Path) -> None:
    """Refuse a file that is cut off in its first block.

    Raises:
        ModelError: It is.
    """
    if len(data) < HEADER.size or HEADER.unpack_from(data)[1] + HEADER.size > len(data):
        raise ModelError(f"{path}: this .rpk is damaged or cut off; copy it or package it again")
